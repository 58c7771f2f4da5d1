# A program made of installed headers and archives by the cross compiler alone; linked statically, and with the system's
# shared libraries, where it has any.
set -euxo pipefail
prefix=$WORK/consumer/prefix
rm -rf "$WORK/consumer"
"$CMAKE" --install "$BUILD" --prefix "$prefix"

pkg_config=$(find "$prefix" -name halpool.pc)
archives=$(sed -n 's/^Libs: -L${libdir} //p' "$pkg_config")
compile() {
    "$CXX" -std=c++17 -Wall -Wextra -Werror "$CONSUMER" -I"$prefix/include" -L"$prefix/lib" $archives $PROGRAM_OPTIONS "$@"
}
for linkage in $LINKAGES; do
    options=()
    if [[ $linkage == static ]]; then options=(-static); fi
    compile "${options[@]}" -o "$WORK/consumer/$linkage"
    $EMULATOR "$WORK/consumer/$linkage" | diff - "$KNOWN_ANSWER"
done
