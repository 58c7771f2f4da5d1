# Installs the build and moves the tree, so that every other test shows that nothing in it knows where it was made.
set -euxo pipefail
source "${BASH_SOURCE%/*}/must_fail.sh"

rm -rf "$WORK/staged" "$PREFIX"
mkdir -p "$(dirname "$PREFIX")"
"$CMAKE" --install "$BUILD" --prefix "$WORK/staged"
mv "$WORK/staged" "$PREFIX"
cd "$PREFIX"

: 'the public headers, and no other'
diff <(find include -type f | sort) <(printf '%s\n' include/halpool/halpool.h include/halpool/halpool.hpp)

: 'no text file names the build, the source or the first place'
must_fail grep -rIF -e "$SOURCE" -e "$BUILD" -e "$WORK/staged" .

: 'the program runs where it is now'
if [[ -e $BUILD/bin/halpool ]]; then
    bin/halpool info
fi
