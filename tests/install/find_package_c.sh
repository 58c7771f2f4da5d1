# A CMake project that never enables C++.
set -euxo pipefail

build=$WORK/find_package_c
rm -rf "$build"
"$CMAKE" -S "$CONSUMERS/c" -B "$build" -DCMAKE_MAKE_PROGRAM="$MAKE_PROGRAM" -DCMAKE_PREFIX_PATH="$PREFIX"
"$CMAKE" --build "$build" --verbose
"$build/pool" | diff - "$CONSUMERS/known_answer.txt"
