"""The README's line for one target builds archives and no others, no symbol of another target, and a program links with it."""
import re
import subprocess
import sys

import readme_lines
import tree

target = sys.argv[1]
folder = tree.WORK / "alone" / target
option = f"-DHALPOOL_TARGETS={target}"
assert option in readme_lines.BUILDS, f"README.md has no line for {target}"
dtype = tree.FEW_KERNELS if tree.has_few_kernels(target) else tree.TARGETS[target]["only"]["dtypes"][0]
tree.build(folder, option, f"-DHALPOOL_DTYPES={tree.FEW_KERNELS};{dtype}")

found = {path.name for path in folder.rglob("libhalpool_*.a")}
assert found == {f"libhalpool_{name}.a" for name in ("runtime", "absent", target, tree.component(target))}, found

others = [name for name in tree.TARGETS if name != target]
devices = {facts["device"] for facts in tree.TARGETS.values() if "device" in facts} - {tree.TARGETS[target].get("device")}
symbols = tree.symbols(folder, target)
assert any(symbol.endswith(re.sub(r"\W", "_", target) + "_argv") for symbol in symbols), "no kernel of its own"
for other in others:
    of_other = [symbol for symbol in symbols if re.search(f"_{re.sub(r'[^a-z0-9]', '_', other)}(_argv)?$", symbol)]
    assert not of_other, of_other
for device in devices:
    of_device = [symbol for symbol in symbols if re.match(f"halpool_{device}_|halpool_device_{device}$", symbol)]
    assert not of_device, of_device

prefix = folder / "prefix"
tree.run(tree.CMAKE, "--install", folder, "--prefix", prefix, stdout=subprocess.DEVNULL)
if tree.is_foreign(target):
    prefix = prefix / tree.component(target)
(pkg_config,) = prefix.rglob("halpool.pc")
libraries = re.search(r"^Libs: -L\$\{libdir\} (.*)$", pkg_config.read_text(), re.M)[1].split()
(folder / "consumer.cpp").write_text("""
#include <halpool/halpool.hpp>
#include <cstdint>
#include <cstdio>
int main() {
    for (std::size_t i = 0; i < halpool_target_count(); ++i) std::puts(halpool_target_at(i).name);
    const std::vector<std::int64_t> pixels(3 * 48 * 64, 3);
    std::vector<std::int64_t> pooled(3 * 24 * 32);
    const halpool::TensorDesc whole({1, 3, 48, 64}, halpool::DType::i64), half({1, 3, 24, 32}, halpool::DType::i64);
    halpool::avg_pool2d({pixels.data(), whole}, {pooled.data(), half}, 2);
    return pooled[0] == 3 ? 0 : 1;
}
""")
tree.run(tree.compiler(target), "-std=c++17", folder / "consumer.cpp", f"-I{prefix}/include", f"-L{pkg_config.parent.parent}",
         *libraries, *tree.program_options(target), "-o", folder / "consumer", env=tree.link_environment(target))
emulator = tree.SYSTEMS[tree.TARGETS[target]["system"]]["emulators"][0]["command"].split() if tree.is_foreign(target) else []
listed = tree.run(*emulator, folder / "consumer", stdout=subprocess.PIPE, text=True).stdout.split()
assert listed == [target, "portable"], listed
