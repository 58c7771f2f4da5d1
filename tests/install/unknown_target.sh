# A target that schedules/targets.json does not have.
set -euxo pipefail
source "${BASH_SOURCE%/*}/must_fail.sh"

build=$WORK/unknown_target
rm -rf "$build"
configure() {
    "$CMAKE" -S "$SOURCE" -B "$build" -DCMAKE_MAKE_PROGRAM="$MAKE_PROGRAM" -DPython3_EXECUTABLE="$PYTHON" \
        -DHalide_DIR="$HALIDE_DIR" -DHalideHelpers_DIR="$HALIDE_HELPERS_DIR" -DHALPOOL_BUILD_CLI=OFF "$@" 2>&1 |
        tee "$build.txt"
}
must_fail configure '-DHALPOOL_TARGETS=x86-64-avx2;x86-64-sse99'
# CMake breaks lines.
tr -s ' \n' ' ' <"$build.txt" >"$build-line.txt"
grep -F "unknown target 'x86-64-sse99'; known: " "$build-line.txt"
known=$("$PYTHON" -c 'import json, sys; print(*json.load(open(sys.argv[1]))["targets"])' "$SOURCE/schedules/targets.json")
for target in $known; do
    grep -wF -e "$target" "$build-line.txt"
done
