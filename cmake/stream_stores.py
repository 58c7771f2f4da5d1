#!/usr/bin/env python3
"""Makes the vector stores of a kernel streaming: past the caches.

    stream_stores.py ASSEMBLY BYTES

ASSEMBLY is what Halide 21 emits for x86-64 and is rewritten in place: stores of vectors of BYTES (movups, vmovups and their kind)
become movntps and vmovntps, which fault on addresses that are not aligned to BYTES: the caller of the kernel sees to that.
Narrower stores stay, and those to the stack: the kernel must keep its output alone elsewhere. Exit status 2 and one line on
stderr where there is no such store, a wider one, or one that cannot be made streaming.
"""
import re
import sys

STORE = re.compile(r"^(?P<indent>\s*)(?P<v>v?)mov[ua]p[sd](?P<gap>\s+)%(?P<kind>[xyz])mm(?P<register>\d+), (?P<to>[^%\n]*\([^)\n]*\))"
                   r"(?P<mask>\s*\{[^\n]*)?(?P<rest>[ \t]*(?:#[^\n]*)?)$", re.MULTILINE)
BYTES = {"x": 16, "y": 32, "z": 64}


def rewrite(text, width):
    stack = r"\((%rsp|%rbp)" if re.search(r"movq\s+%rsp, %rbp", text) else r"\(%rsp"
    count = 0

    def streaming(match):
        nonlocal count
        if re.search(stack, match["to"]) or BYTES[match["kind"]] < width:
            return match[0]
        if BYTES[match["kind"]] > width or match["mask"]:
            raise ValueError(f"'{match[0].strip()}' is wider than {width} bytes or masked")
        count += 1
        return f"{match['indent']}{match['v']}movntps{match['gap']}%{match['kind']}mm{match['register']}, {match['to']}{match['rest']}"

    text = STORE.sub(streaming, text)
    if count == 0:
        raise ValueError(f"it stores no vector of {width} bytes")
    return text


def main():
    path, width = sys.argv[1], int(sys.argv[2])
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        text = rewrite(text, width)
    except (OSError, ValueError) as error:
        print(f"{path}: cannot make its stores streaming: {error}", file=sys.stderr)
        sys.exit(2)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
