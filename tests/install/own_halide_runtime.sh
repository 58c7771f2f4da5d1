# Kernels of the user's own for CPU, CUDA and Vulkan, with the one Halide runtime they need, in one program with halpool.
set -euxo pipefail

build=$WORK/own_halide_runtime
rm -rf "$build"
"$CMAKE" -S "$CONSUMERS/own_halide_runtime" -B "$build" -DCMAKE_MAKE_PROGRAM="$MAKE_PROGRAM" \
    -DCMAKE_PREFIX_PATH="$PREFIX" -DHalide_DIR="$HALIDE_DIR" -DHalideHelpers_DIR="$HALIDE_HELPERS_DIR"
"$CMAKE" --build "$build" --verbose
"$NM" "$build/program" >"$build/symbols.txt"
for symbol in halide_do_par_for halide_cuda_run halide_vulkan_run; do
    grep -w "$symbol" "$build/symbols.txt"
done
"$build/program" | diff - "$CONSUMERS/known_answer.txt"

: 'on each device that halpool was built for and that this machine has'
export HALPOOL_VULKAN_DEVICE=cpu HL_VK_DEVICE_TYPE=cpu
for device in cuda vulkan; do
    if "$build/available" "$device"; then
        "$build/program" "$device" | diff - "$CONSUMERS/known_answer.txt"
    fi
done
