# A build of two components, of which a program wants one. halpool has only one so far: the copy gets another.
set -euxo pipefail
source "${BASH_SOURCE%/*}/must_fail.sh"

cd "$WORK/subproject"
"$PYTHON" - halpool/schedules/targets.json <<'PYTHON'
import json, sys

with open(sys.argv[1]) as file:
    targets = json.load(file)
targets["x86-64-avx2"]["component"] = "second"
with open(sys.argv[1], "w") as file:
    json.dump(targets, file, indent=2)
PYTHON
"$CMAKE" build '-DHALPOOL_TARGETS=x86-64-sse41;x86-64-avx2' -DHALPOOL_INSTALL=ON
"$CMAKE" --build build --parallel 2
rm -rf two_components
"$CMAKE" --install build --prefix "$PWD/two_components"

"$CMAKE" -S "$CONSUMERS/cxx" -B one -DCMAKE_MAKE_PROGRAM="$MAKE_PROGRAM" -DCMAKE_PREFIX_PATH="$PWD/two_components"
"$CMAKE" --build one --verbose | tee one.txt
one/pool | diff - "$CONSUMERS/known_answer.txt"
grep -F libhalpool_x86.a one.txt
grep -F libhalpool_x86-64-sse41.a one.txt
must_fail grep -E 'libhalpool_(second|x86-64-avx2)\.a' one.txt
