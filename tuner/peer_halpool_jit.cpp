// halpool as a peer of the benchmark whose kernels are compiled in this process: halpool-tune's first measurements.
//   peer_halpool_jit TARGET --threads N [...]
// One command more than a peer has, "kernels FILE": the target's kernels from there on, a line for each, the best first, as
// kernel_manifest.py's jit_line writes them. They take the place of the CPU component that a program links; plans, selector and threads
// are the library's.
#include "halpool_peer.hpp"

#include <halpool/internal/kernel_convention.h>

#include <Halide.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <unistd.h>

namespace {

constexpr unsigned kLongestCompilation = 240;  // seconds; then the process ends

const char *const no_features[] = {nullptr};  // halpool-tune asks for targets that run here
halpool::KernelTable table{"", no_features, nullptr, 0};
const halpool::KernelTable *const tables[] = {&table, nullptr};

// Memory from a heap, for which kernels of the library have no function to call.
class Allocates : public Halide::Internal::IRVisitor {
public:
    bool found = false;

private:
    using IRVisitor::visit;
    void visit(const Halide::Internal::Allocate *allocation) override {
        constexpr std::int64_t kMostOnStack = 16 * 1024;  // Halide's, where it chooses itself
        const auto type = allocation->memory_type;
        const bool says_stack = type == Halide::MemoryType::Stack || type == Halide::MemoryType::Register;
        const std::int64_t bytes = std::int64_t{allocation->constant_allocation_size()} * allocation->type.bytes() * allocation->type.lanes();
        found |= !says_stack && (bytes == 0 || bytes > kMostOnStack);
        IRVisitor::visit(allocation);
    }
};

struct Kernel {
    std::string function, generator, target, parameters;
    std::string name, op, dtype, window_name;  // what its row points to
    Halide::Internal::JITModule code;
};

halpool::KernelEntry compile(Kernel &kernel) {
    using namespace Halide::Internal;
    auto generator = GeneratorRegistry::create(kernel.generator, Halide::GeneratorContext(Halide::Target(kernel.target)));
    if (!generator) throw std::runtime_error("there is no generator " + kernel.generator);
    std::istringstream parameters(kernel.parameters);
    for (std::string parameter; std::getline(parameters, parameter, ',');) {
        const std::size_t equals = parameter.find('=');
        generator->set_generatorparam_value(parameter.substr(0, equals), parameter.substr(equals + 1));
    }
    const Halide::Module module = generator->build_module(kernel.function);
    const LoweredFunc function = module.get_function_by_name(kernel.function);
    Allocates allocates;
    function.body.accept(&allocates);
    if (allocates.found) throw std::runtime_error("it allocates memory");
    kernel.code = JITModule(module, function);
    return reinterpret_cast<halpool::KernelEntry>(kernel.code.argv_function());
}

// A KernelRow's fields in their order.
class Fields {
public:
    explicit Fields(std::istream &from) : from_(from) {}
    template <class... T>
    void operator()(T &...fields) {
        (read(fields), ...);
    }

private:
    void read(std::string &field) { from_ >> field; }
    void read(std::int32_t &field) { from_ >> field; }
    void read(bool &field) { from_ >> field; }
    void read(halpool::KernelLayout &field) {
        std::string name;
        from_ >> name;
        field = name == "nhwc" ? halpool::KernelLayout::nhwc : halpool::KernelLayout::nchw;
    }
    void read(halpool::WindowClass &field) {
        using halpool::WindowClass;
        static const std::map<std::string, WindowClass> known = {
            {"generic", WindowClass::generic}, {"small", WindowClass::small}, {"separable", WindowClass::separable}, {"lines", WindowClass::lines},
            {"large", WindowClass::large}, {"blocks", WindowClass::blocks}, {"fixed", WindowClass::fixed}, {"global", WindowClass::global}};
        std::string name;
        from_ >> name;
        field = known.at(name);
    }
    void read(halpool::ExactProblem &e) {
        (*this)(e.channels, e.input_h, e.input_w, e.output_h, e.output_w, e.kernel_h, e.kernel_w, e.stride_h, e.stride_w, e.pad_top, e.pad_left);
    }
    std::istream &from_;
};

halpool::KernelRow row_of(const std::string &line, Kernel &kernel) {
    std::istringstream words(line);
    words.exceptions(std::ios::failbit);
    halpool::KernelRow row{};
    Fields fields(words);
    fields(kernel.function, kernel.generator, kernel.target, kernel.parameters);
    fields(kernel.name, kernel.op, kernel.dtype, kernel.window_name, row.layout, row.window, row.needs_reciprocal, row.kernel_h, row.kernel_w, row.stride_h, row.stride_w, row.channels,
           row.pairs, row.exact, row.plane_h, row.plane_w, row.padding, row.min_channels, row.min_taps, row.most_columns, row.tile_rows, row.lanes, row.masked_loads, row.streams,
           row.alignment, row.threads, row.tile_columns);
    row.name = kernel.name.c_str();
    row.op = kernel.op.c_str();
    row.dtype = kernel.dtype.c_str();
    row.window_name = kernel.window_name.c_str();
    row.entry = compile(kernel);
    return row;
}

}  // namespace

extern "C" {
extern const halpool::KernelComponent HALPOOL_JIT_COMPONENT;
const halpool::KernelComponent HALPOOL_JIT_COMPONENT = {nullptr, tables};
}

int main(int argc, char **argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: peer_halpool_jit TARGET --threads N ...\n");
        return 2;
    }
    table.target = argv[1];
    // As long as the process: rows point to kernels, plans to rows.
    static std::deque<Kernel> kernels;
    static std::deque<std::vector<halpool::KernelRow>> rows;
    const auto kernels_from = [](const std::string &verb, std::istream &command, std::ostream &) {
        if (verb != "kernels") return false;
        std::string path;
        command >> path;
        std::ifstream file(path);
        if (!file) throw std::runtime_error(path + " cannot be read");
        auto &all = rows.emplace_back();
        alarm(kLongestCompilation);
        const auto refuse = [](std::string words) {  // Halide's have several lines, an answer has one
            alarm(0);
            std::replace(words.begin(), words.end(), '\n', ' ');
            throw std::runtime_error(words);
        };
        try {
            for (std::string line; std::getline(file, line);) all.push_back(row_of(line, kernels.emplace_back()));
        } catch (const Halide::Error &error) {
            refuse(error.what());
        } catch (const std::exception &error) {
            refuse(error.what());
        }
        alarm(0);
        table.rows = all.data();
        table.row_count = all.size();
        return true;
    };
    return bench::serve_halpool(argc - 1, argv + 1, kernels_from);
}
