# A build of two components, of which a program wants one: nothing of the other is linked.
set -euxo pipefail
source "${BASH_SOURCE%/*}/must_fail.sh"

cd "$WORK/subproject"
"$CMAKE" build '-DHALPOOL_TARGETS=x86-64-sse41;cuda-sm80' -DHALPOOL_INSTALL=ON
"$CMAKE" --build build --parallel 2
rm -rf two_components
"$CMAKE" --install build --prefix "$PWD/two_components"

"$CMAKE" -S "$CONSUMERS/cxx" -B one -DCMAKE_MAKE_PROGRAM="$MAKE_PROGRAM" -DCMAKE_PREFIX_PATH="$PWD/two_components"
"$CMAKE" --build one --verbose | tee one.txt
one/pool | diff - "$CONSUMERS/known_answer.txt"
grep -F libhalpool_x86.a one.txt
grep -F libhalpool_x86-64-sse41.a one.txt
must_fail grep -E 'libhalpool_cuda' one.txt
"$NM" one/pool >one-symbols.txt
grep -F halpool_avg_pool2d_x86 one-symbols.txt
must_fail grep -E 'halpool_(device_cuda|avg_pool2d_table_cuda)|cuda_sm80' one-symbols.txt
