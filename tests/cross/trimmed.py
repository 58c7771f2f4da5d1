"""A build of one dtype, one layout and one operator has no other kernels, and says of the others that they were not built in."""
import re
import subprocess

import tree

target = "x86-64-sse41" if tree.MACHINE == "x86_64" else "arm-64-neon"
folder = tree.WORK / "trimmed"
tree.build(folder, f"-DHALPOOL_TARGETS={target}", "-DHALPOOL_DTYPES=f16", "-DHALPOOL_LAYOUTS=nhwc", "-DHALPOOL_OPS=avg_pool2d")
symbols = tree.symbols(folder, target)
kernels = [symbol for symbol in symbols if re.match(r"halpool_avg_pool2d.*_argv$", symbol)]
assert kernels and all(re.match(r"halpool_avg_pool2d_f16_nhwc_", kernel) for kernel in kernels), kernels

prefix = folder / "prefix"
tree.run(tree.CMAKE, "--install", folder, "--prefix", prefix, stdout=subprocess.DEVNULL)
(pkg_config,) = prefix.rglob("halpool.pc")
libraries = re.search(r"^Libs: -L\$\{libdir\} (.*)$", pkg_config.read_text(), re.M)[1].split()
(folder / "consumer.cpp").write_text("""
#include <halpool/halpool.hpp>
#include <cstdio>
using namespace halpool;
void pool(DType dtype, MemoryFormat format, bool backward) {
    const TensorDesc whole({1, 8, 4, 4}, dtype, format), pooled({1, 8, 2, 2}, dtype, format);
    try {
        std::printf("%s\\n", backward ? AvgPool2dBackwardPlan(pooled, whole, 2).describe().c_str() : AvgPool2dPlan(whole, pooled, 2).describe().c_str());
    } catch (const Error &error) {
        std::printf("refused (%d): %s\\n", error.status() == HALPOOL_ERROR_UNSUPPORTED, error.what());
    }
}
int main() {
    pool(DType::f16, MemoryFormat::channels_last, false);
    pool(DType::f16, MemoryFormat::contiguous, false);
    pool(DType::f32, MemoryFormat::channels_last, false);
    pool(DType::f16, MemoryFormat::channels_last, true);
}
""")
tree.run(tree.compiler(target), "-std=c++17", folder / "consumer.cpp", f"-I{prefix}/include", f"-L{pkg_config.parent.parent}", *libraries,
         "-o", folder / "consumer", env=tree.link_environment(target))
said = tree.run(folder / "consumer", stdout=subprocess.PIPE, text=True).stdout
print(said)
for expected in (f"* avg_pool2d_f16_nhwc_2x2s2_{target}", "kernels for nchw memory were not built in", "* avg_pool2d_f16_reference",
                 "refused (1): dtype float32 was not built into this library; built in: float16",
                 "refused (1): avg_pool2d_backward was not built into this library; built in: avg_pool2d"):
    assert expected in said, expected

for option, message in (("-DHALPOOL_DTYPES=f33", "HALPOOL_DTYPES: unknown name 'f33'; known: f32, f64"), ("-DHALPOOL_LAYOUTS=hwc", "known: nchw, nhwc"),
                        ("-DHALPOOL_OPS=max", "known: avg_pool2d, avg_pool2d_backward")):
    refused = tree.configure(folder / "refused", option)
    assert refused.returncode and message in " ".join(refused.stdout.split()), refused.stdout
