# The C++ wrapper by find_package(halpool COMPONENTS x86).
set -euxo pipefail
source "${BASH_SOURCE%/*}/must_fail.sh"

build=$WORK/find_package_cxx
rm -rf "$build"
"$CMAKE" -S "$CONSUMERS/cxx" -B "$build" -DCMAKE_MAKE_PROGRAM="$MAKE_PROGRAM" -DCMAKE_PREFIX_PATH="$PREFIX"
"$CMAKE" --build "$build" --verbose
"$build/pool" | diff - "$CONSUMERS/known_answer.txt"
# Links halpool through static libraries of its own.
"$build/pool_through_libraries" | diff - "$CONSUMERS/known_answer.txt"

: 'no symbol of a Halide runtime'
"$NM" "$build/pool" >"$build/symbols.txt"
must_fail grep -i halide "$build/symbols.txt"
