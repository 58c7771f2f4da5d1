# A program made of installed headers and archives by the cross compiler alone; linked statically, and with the system's
# shared libraries.
set -euxo pipefail
prefix=$WORK/consumer/prefix
rm -rf "$WORK/consumer"
"$CMAKE" --install "$BUILD" --prefix "$prefix"

pkg_config=$(find "$prefix" -name halpool.pc)
archives=$(sed -n 's/^Libs: -L${libdir} //p' "$pkg_config")
compile() {
    "$CXX" -std=c++17 -Wall -Wextra -Werror "$CONSUMER" -I"$prefix/include" -L"$prefix/lib" $archives "$@"
}
compile -static -o "$WORK/consumer/static"
compile -o "$WORK/consumer/dynamic"
for program in static dynamic; do
    $EMULATOR "$WORK/consumer/$program" | diff - "$KNOWN_ANSWER"
done
