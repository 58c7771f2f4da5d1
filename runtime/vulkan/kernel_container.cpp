#include "kernel_container.hpp"

#include "failure.hpp"

#include <cstring>

namespace halpool::vulkan {
namespace {

constexpr std::uint32_t kSpirvMagic = 0x07230203;
constexpr std::size_t kSpirvHeaderWords = 5;
constexpr std::uint32_t kOpCapability = 17;

void well_formed(bool condition, const char *what) {
    require(condition, HALPOOL_ERROR_INTERNAL, "the code of a Vulkan kernel cannot be read: ", what,
            "; kernels must come from Halide 21");
}

class Words {
public:
    Words(const std::uint32_t *words, std::size_t count) : words_(words), left_(count) {}

    std::uint32_t next() { return *skip(1); }
    const std::uint32_t *skip(std::size_t count) {
        well_formed(count <= left_, "it ends too early");
        const std::uint32_t *at = words_;
        words_ += count;
        left_ -= count;
        return at;
    }
    Words part(std::size_t count) { return {skip(count), count}; }
    std::string text() {
        const std::size_t words = next();
        const char *begin = reinterpret_cast<const char *>(skip(words));
        return {begin, strnlen(begin, words * sizeof(std::uint32_t))};
    }
    std::size_t left() const { return left_; }
    const std::uint32_t *data() const { return words_; }

private:
    const std::uint32_t *words_;
    std::size_t left_;
};

std::vector<std::uint32_t> declared_capabilities(const std::vector<std::uint32_t> &code) {
    well_formed(code.size() > kSpirvHeaderWords && code[0] == kSpirvMagic, "there is no SPIR-V in it");
    std::vector<std::uint32_t> capabilities;  // the first instructions
    for (std::size_t at = kSpirvHeaderWords; at + 1 < code.size() && (code[at] & 0xffff) == kOpCapability;
         at += 2) {
        capabilities.push_back(code[at + 1]);
    }
    return capabilities;
}

EntryPoint read_entry_point(Words module) {
    const std::uint32_t header_words = module.next();
    well_formed(header_words >= 1, "its header is empty");
    Words header = module.part(header_words - 1);

    EntryPoint entry{};
    well_formed(header.next() == 1, "a module has more than one entry point");
    entry.name = header.text();
    entry.uniform_buffers = header.next();
    entry.storage_buffers = header.next();
    well_formed(entry.uniform_buffers <= 1, "it has more than one uniform buffer");

    for (std::uint32_t constants = header.next(); constants > 0; --constants) {
        header.text();  // the name, for people
        header.next();  // the constant, named again by what it is for
        well_formed(header.next() == sizeof(std::uint32_t), "a specialisation constant is not of 32 bits");
    }
    for (std::uint32_t arrays = header.next(); arrays > 0; --arrays) {
        header.text();
        const std::uint32_t constant = header.next(), element_bytes = header.next(), length = header.next();
        if (constant == 0) {
            entry.shared_bytes += std::uint64_t{element_bytes} * length;
        } else {
            well_formed(entry.shared_length_constant == 0 && element_bytes > 0,
                        "it has two shared arrays of variable length");
            entry.shared_length_constant = constant;
            entry.shared_element_bytes = element_bytes;
        }
    }
    for (std::uint32_t &constant : entry.local_size_constants) constant = header.next();

    entry.code.assign(module.data(), module.data() + module.left());
    entry.capabilities = declared_capabilities(entry.code);
    return entry;
}

}  // namespace

std::vector<EntryPoint> decode_kernel_container(const void *data, std::size_t bytes) {
    std::vector<std::uint32_t> words(bytes /
                                     sizeof(std::uint32_t));  // the compiler aligns the original as it likes
    if (!words.empty()) std::memcpy(words.data(), data, words.size() * sizeof(std::uint32_t));

    Words container(words.data(), words.size());
    const std::uint32_t modules = container.next();
    well_formed(modules <= container.left(), "it names too many modules");
    std::vector<std::size_t> sizes;
    for (std::uint32_t i = 0; i < modules; ++i) {
        sizes.push_back(container.next() / sizeof(std::uint32_t));
        container.text();  // the entry point's name, which the module repeats
    }
    std::vector<EntryPoint> entries;
    for (const std::size_t size : sizes) entries.push_back(read_entry_point(container.part(size)));
    return entries;
}

}  // namespace halpool::vulkan
