# A kernel of the user's own, with the Halide runtime it needs, in one program with halpool.
set -euxo pipefail

build=$WORK/own_halide_runtime
rm -rf "$build"
"$CMAKE" -S "$CONSUMERS/own_halide_runtime" -B "$build" -DCMAKE_MAKE_PROGRAM="$MAKE_PROGRAM" \
    -DCMAKE_PREFIX_PATH="$PREFIX" -DHalide_DIR="$HALIDE_DIR" -DHalideHelpers_DIR="$HALIDE_HELPERS_DIR"
"$CMAKE" --build "$build" --verbose
"$NM" "$build/program" >"$build/symbols.txt"
grep -w halide_do_par_for "$build/symbols.txt"
"$build/program" | diff - "$CONSUMERS/known_answer.txt"
