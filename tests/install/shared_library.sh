# A plugin: halpool's archives inside a shared library that a program opens and closes.
set -euxo pipefail

build=$WORK/shared_library
rm -rf "$build"
"$CMAKE" -S "$CONSUMERS/shared_library" -B "$build" -DCMAKE_MAKE_PROGRAM="$MAKE_PROGRAM" \
    -DCMAKE_PREFIX_PATH="$PREFIX"
"$CMAKE" --build "$build" --verbose

: 'the plugin exports its one function'
diff <("$NM" --dynamic --defined-only --format=posix "$build/plugin.so" | cut -d ' ' -f 1) <(echo plugin_pool)

"$build/host" "$build/plugin.so"

: 'on Vulkan, where this build and this machine have it'
export HALPOOL_VULKAN_DEVICE=cpu
if [[ -e $PREFIX/bin/halpool ]] && "$PREFIX/bin/halpool" info | grep -E '^  vulkan +available'; then
    "$build/host" "$build/plugin.so" 3
fi
