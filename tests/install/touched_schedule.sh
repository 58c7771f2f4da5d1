# One number of one schedule changes: one kernel is emitted, and at most its target's table is compiled.
set -euxo pipefail
source "${BASH_SOURCE%/*}/must_fail.sh"

cd "$WORK/subproject"
"$CMAKE" --build build --parallel 2 # so that only the change counts
"$PYTHON" - halpool/schedules/x86-64-sse41.json <<'PYTHON'
import json, sys

with open(sys.argv[1]) as file:
    schedules = json.load(file)
schedule = schedules["kernels"]["avg_pool2d_f32_nchw_generic"]
schedule["vector"] = 8 if schedule["vector"] == 4 else 4
with open(sys.argv[1], "w") as file:
    json.dump(schedules, file, indent=2)
PYTHON
"$CMAKE" --build build --parallel 2 | tee touched.txt
diff <(grep -o 'Emitting .*' touched.txt) <(echo 'Emitting halpool_avg_pool2d_f32_nchw_generic_x86_64_sse41')
sed -n 's/.*Building .* //p' touched.txt >compiled.txt
must_fail grep -v '/table_x86-64-sse41\.cpp\.o$' compiled.txt
build/programs/pool | diff - "$CONSUMERS/known_answer.txt"
