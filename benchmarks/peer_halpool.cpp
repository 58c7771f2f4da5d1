// halpool as a peer of the benchmark.
//   peer_halpool --threads N [--target NAME] [--kernel NAME]
#include "halpool_peer.hpp"

int main(int argc, char **argv) { return bench::serve_halpool(argc, argv); }
