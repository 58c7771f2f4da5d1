"""The innermost loops of a kernel's object, from what llvm-objdump prints, and what their instructions do."""
import re
import subprocess
from functools import cached_property

FUNCTION = re.compile(r"[0-9a-f]+ <.+>:$")
LINE = re.compile(r"\s*([0-9a-f]+):\s+(\S.*)$")


class Instruction:
    """One line of a disassembly. `width` is the bytes of its widest vector register, 0 where it has none; `stack` is
    whether its memory operand lies at a fixed place of the stack frame: what has an index as well is an array."""

    def __init__(self, text):
        self.text = text
        self.opcode, _, self.operands = text.partition("\t")
        target = re.search(r"(?:^|, )0x([0-9a-f]+) <", self.operands) if self.is_(self.jump) else None
        self.target = int(target[1], 16) if target else None  # an address

    def is_(self, pattern):
        return re.fullmatch(pattern, self.opcode) is not None


class X86(Instruction):
    """AT&T syntax: the destination is last."""

    comment = " #"
    jump = r"j\w+"
    always = r"jmpq?"
    leave = r"retq?|ud2"
    MEMORY = re.compile(r"-?(?:0x[0-9a-f]+)?\((%\w+)?(,%\w+)?(?:,\d)?\)")
    SETS_FRAME_POINTER = re.compile(r"movq\t%rsp, %rbp")
    BYTES = {"x": 16, "y": 32, "z": 64}

    def __init__(self, text, frame_pointer):
        super().__init__(text)
        memory = self.MEMORY.search(self.operands)
        last = self.operands.split(" {")[0].endswith(")")
        moves = self.is_(r"v?(mov|maskmov|extract|pextr|pmov|compress|scatter|pscatter).*")
        addressless = self.is_(r"leaq?l?|nop\w*|prefetch\w*")
        self.width = max((self.BYTES[x] for x in re.findall(r"%([xyz])mm", self.operands)), default=0)
        self.store = bool(memory and last and moves and self.width)
        self.load = bool(memory and not self.store and not addressless and self.width)
        places = ("%rsp", "%rbp") if frame_pointer else ("%rsp",)
        self.stack = bool(memory and memory[1] in places and not memory[2])
        self.packed = self.is_(r"v?\w+p[sd]")
        self.call = self.is_("callq?")
        self.gather = self.is_(r"v?p?gather\w+|v?p?scatter\w+")
        self.divides = self.is_(r"i?div[bwlq]?|v?div[ps][sd]")
        self.add = self.is_(r"v?h?(add|sub)p[sd]")
        self.multiply = self.is_(r"vf\w+p[sd]|v?mulp[sd]")
        self.masked = self.is_("v?p?maskmov.*") or bool(re.search(r"\{%k[1-7]\}", self.operands))
        # One float at a time into a vector.
        self.element = bool(memory and not last and not self.stack and
                            self.is_(r"v?movs[sd]|v?insertps|v?pinsr\w|v?mov[hl]p[sd]"))
        self.shuffle = self.is_(r"v?p?(shuf|perm|unpck|insert|blend|align|hadd|expand|extract)\w*"
                                r"|v?mov(s[lh]dup|ddup|lhps|hlps)")
        self.copy = self.is_(r"v?mov[au]p[sd]|vmovdq\w+|movdq\w+") and not memory


class Arm64(Instruction):
    comment = " //"
    jump = r"b|b\.\w+|cbn?z|tbn?z"
    always = r"b"
    leave = r"ret|br|udf|brk"
    SETS_FRAME_POINTER = re.compile(r"(mov\tx29, sp|add\tx29, sp, .*)")

    def __init__(self, text, frame_pointer):
        super().__init__(text)
        memory = re.search(r"\[(\w+)(?:, (#?-?\w+))?", self.operands)
        memory = memory if self.is_(r"(ld|st|prf).*") else None
        packed = re.search(r"\bv\d+\.(4s|2d|8h|16b)\b", self.operands)
        registers = self.operands.split("[")[0]
        whole = bool(packed or re.search(r"\bq\d+\b", registers))
        half = re.search(r"\bv\d+\.\w+|\b[sd]\d+\b", registers)
        self.width = 16 if whole else 8 if half else 0
        self.store = bool(memory and self.is_("st.*") and self.width)
        self.load = bool(memory and self.is_("ld.*") and self.width)
        places = ("sp", "x29") if frame_pointer else ("sp",)
        self.stack = bool(memory and memory[1] in places and not re.match(r"[xw]\d", memory[2] or ""))
        self.packed = bool(packed)
        self.call = self.is_("blr?")
        self.gather = False
        self.divides = self.is_("[us]div|fdiv")
        self.add = self.packed and self.is_("faddp?|fsub")
        self.multiply = self.packed and self.is_("fmul|fmla|fmls")
        self.masked = False
        self.element = bool(self.load and not self.stack and not self.is_("ld1r") and
                            (re.search(r"\}\[\d\]", self.operands) or re.match(r"[sd]\d", registers)))
        self.shuffle = self.is_(r"uzp[12]|zip[12]|trn[12]|ext|tbl|tbx|rev\d+|faddp|ins|dup") or \
            self.is_("mov") and bool(re.search(r"v\d+\.\w\[", self.operands))
        self.copy = self.is_("mov") and re.fullmatch(r"v\d+\.16b, v\d+\.16b", self.operands) is not None


class Loop:
    def __init__(self, instructions, blocks):
        self.instructions, self.straight = instructions, blocks == 1

    def count(self, *facts, width=0):
        """How many instructions have all these facts, on vectors of at least this width."""
        return sum(all(getattr(each, fact) for fact in facts) for each in self.instructions if each.width >= width)

    @cached_property
    def width(self):
        """Of its packed additions of floats and, where it stores any, of its stores too, the lesser; 0: it adds none. LLVM
        adds two narrow vectors as one where it can."""
        adds = [each.width for each in self.instructions if each.add and each.packed]
        stores = [each.width for each in self.instructions if each.store and not each.stack]
        return min(max(adds, default=0), max(stores or adds, default=0))

    @cached_property
    def outputs(self):
        """Bytes that it stores to memory outside of the stack frame."""
        return sum(self.bytes_of(each) for each in self.instructions if each.store and not each.stack)

    @cached_property
    def inputs(self):
        return sum(self.bytes_of(each) for each in self.instructions if each.load and not each.stack)

    @cached_property
    def spills(self):
        return sum((each.load or each.store) and each.stack for each in self.instructions)

    @staticmethod
    def bytes_of(each):
        if each.element:
            return 4
        pair = each.opcode in ("ldp", "stp") or re.fullmatch("(?:ld|st)2", each.opcode)
        several = re.fullmatch("(?:ld|st)([34])", each.opcode)
        return each.width * (2 if pair else int(several[1]) if several else 1)

    def text(self):
        return "\n".join(each.text for each in self.instructions)


def functions(listing, machine):
    """Of each function: (address, text) of its instructions."""
    found = None
    for line in listing.splitlines():
        if FUNCTION.match(line):
            found = []
            yield found
        elif found is not None and LINE.match(line):
            address, text = LINE.match(line).groups()
            found.append((int(address, 16), text.split(machine.comment)[0].strip()))


def innermost_loops(lines, machine):
    """The natural loops in which there is no other one."""
    frame_pointer = any(machine.SETS_FRAME_POINTER.match(text) for _, text in lines)
    instructions = [(address, machine(text, frame_pointer)) for address, text in lines]
    targets = {each.target for _, each in instructions}
    blocks, at, begins = [], {}, True
    for address, each in instructions:
        if begins or address in targets:
            at[address] = len(blocks)
            blocks.append([])
        blocks[-1].append(each)
        begins = each.is_(f"{machine.jump}|{machine.leave}")
    following = []
    for i, block in enumerate(blocks):
        last = block[-1]
        to = [at[last.target]] if last.target in at else []
        if i + 1 < len(blocks) and not last.is_(f"{machine.always}|{machine.leave}"):
            to.append(i + 1)
        following.append(to)

    # A branch to a block that is on the way from the entry closes a loop: compilers make no others.
    back, on_the_way, done, way = [], {0}, set(), [(0, iter(following[0]))]
    while way:
        block, rest = way[-1]
        for to in rest:
            if to in on_the_way:
                back.append((block, to))
            elif to not in done:
                on_the_way.add(to)
                way.append((to, iter(following[to])))
                break
        else:
            way.pop()
            on_the_way.remove(block)
            done.add(block)
    before = [[] for _ in blocks]
    for i, to in enumerate(following):
        for each in to:
            before[each].append(i)
    bodies = {}
    for last, head in back:
        body, rest = bodies.setdefault(head, {head}), [last]
        while rest:
            block = rest.pop()
            if block not in body:
                body.add(block)
                rest += before[block]
    return [Loop([each for i in sorted(body) for each in blocks[i]], len(body)) for head, body in sorted(bodies.items())
            if not any(other in body for other in bodies if other != head)]


def loops_of(path, objdump, machine):
    listing = subprocess.run([objdump, "--disassemble", "--no-show-raw-insn", path], check=True, capture_output=True,
                             text=True).stdout
    return [loop for lines in list(functions(listing, machine)) if lines for loop in innermost_loops(lines, machine)]
