# add_subdirectory(halpool) in a project with a mind of its own.
set -euxo pipefail

rm -rf "$WORK/subproject"
mkdir -p "$WORK/subproject/halpool"
cd "$WORK/subproject"
for part in CMakeLists.txt cmake generators include runtime schedules; do
    cp -R "$SOURCE/$part" halpool/
done

"$CMAKE" -S "$CONSUMERS/subproject" -B build -DCMAKE_MAKE_PROGRAM="$MAKE_PROGRAM" -DPython3_EXECUTABLE="$PYTHON" \
    -DHalide_DIR="$HALIDE_DIR" -DHalideHelpers_DIR="$HALIDE_HELPERS_DIR" \
    -DHALPOOL_TARGETS=x86-64-sse41 -DHALPOOL_DTYPES=f32 -DHALPOOL_OPS=avg_pool2d -DHALPOOL_LAYOUTS=nchw -DHALPOOL_SOURCE="$PWD/halpool"
"$CMAKE" --build build --parallel 2
build/programs/pool | diff - "$CONSUMERS/known_answer.txt"

: 'nothing of halpool is installed unasked'
"$CMAKE" --install build --prefix "$PWD/installed"
diff <(cd installed && find . -type f) <(echo ./bin/pool)
