# The command line program under the emulator: arrays work; pictures need libraries that a cross build has not.
set -euxo pipefail
work=$WORK/program
rm -rf "$work"
mkdir -p "$work"
"$PYTHON" - "$work/in.npy" <<'PYTHON'
import struct, sys
header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 4, 4), }"
header += " " * (-(len(header) + 11) % 64) + "\n"
open(sys.argv[1], "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
                              + struct.pack("<16f", *range(1, 17)))
PYTHON
$EMULATOR "$PROGRAM" avg_pool2d "$work/in.npy" "$work/out.npy" --kernel-size 3 --stride 2 --padding 1 --ceil-mode \
    --json >"$work/report.json"
"$PYTHON" - "$work/out.npy" "$work/report.json" "$KNOWN_ANSWER" <<'PYTHON'
import json, struct, sys
got = struct.unpack("<9f", open(sys.argv[1], "rb").read()[-36:])
want = [float(word) for word in open(sys.argv[3]).read().split()]
assert all(abs(a - b) < 1e-4 for a, b in zip(got, want)) and len(want) == 9, (got, want)
assert '"portable"' not in open(sys.argv[2]).read()
PYTHON

if grep -q no_pictures "$BUILD/build.ninja"; then
    status=0
    $EMULATOR "$PROGRAM" avg_pool2d "$work/in.npy" "$work/out.png" --kernel-size 3 2>"$work/error.txt" || status=$?
    [[ $status == 2 && ! -e $work/out.png ]]
    grep -F 'writes no pictures' "$work/error.txt"
fi
