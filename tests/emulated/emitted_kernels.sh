# Another tree takes this one's kernels: no Halide, no Python, no generator.
set -euxo pipefail
tree=$WORK/emitted_kernels
rm -rf "$tree"
"$CMAKE" -S "$SOURCE" -B "$tree/build" -DCMAKE_MAKE_PROGRAM="$MAKE_PROGRAM" -DHALPOOL_SYSTEM="$SYSTEM" \
    -DHALPOOL_EMITTED_KERNELS="$BUILD/kernels" -DHALPOOL_BUILD_CLI=OFF -DHALPOOL_BUILD_TESTS=OFF \
    -DCMAKE_DISABLE_FIND_PACKAGE_Python3=ON -DCMAKE_DISABLE_FIND_PACKAGE_Halide=ON
"$CMAKE" --build "$tree/build"
BUILD=$tree/build WORK=$tree bash "${BASH_SOURCE%/*}/consumer.sh"

# Of another system's kernels its compiler makes nothing.
if "$CMAKE" -S "$SOURCE" -B "$tree/refused" -DCMAKE_MAKE_PROGRAM="$MAKE_PROGRAM" \
    -DHALPOOL_EMITTED_KERNELS="$BUILD/kernels" -DHALPOOL_BUILD_CLI=OFF >"$tree/refused.txt" 2>&1; then
    exit 1
fi
# CMake wraps the message's lines where it likes.
tr -s ' \n' ' ' <"$tree/refused.txt" | grep -F "are for $SYSTEM"
