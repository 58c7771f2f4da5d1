#include "npy.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace halpool::cli {

namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "what is swapped on reading is what the file calls '>'");

constexpr std::string_view magic("\x93NUMPY", 6);
constexpr std::size_t data_alignment = 64;  // what NumPy pads its headers to

struct NpyType {
    std::string_view name;  // NumPy's, without the byte order
    DType dtype;
    std::size_t word;       // the bytes that a byte order reverses: one part of a complex number
};

constexpr NpyType npy_types[] = {
    {"f4", DType::f32, 4}, {"f8", DType::f64, 8}, {"f2", DType::f16, 2}, {"i1", DType::i8, 1},
    {"u1", DType::u8, 1},  {"u2", DType::bf16, 2}, {"i2", DType::i16, 2}, {"i4", DType::i32, 4}, {"i8", DType::i64, 8},
    {"b1", DType::boolean, 1}, {"c8", DType::complex64, 4}, {"c16", DType::complex128, 8},
};

struct NpyHeader {
    std::string descr;
    bool fortran_order = false;
    Shape shape;
};

// Reads the header's text, a dict of Python literals: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
class HeaderReader {
public:
    HeaderReader(std::string_view text, const std::string &name) : text_(text), name_(name) {}

    NpyHeader read() {
        NpyHeader header;
        bool descr = false, order = false, shape = false;  // seen
        expect('{');
        while (!accept('}')) {
            const std::string key = read_string();
            expect(':');
            if (key == "descr" && !std::exchange(descr, true)) header.descr = read_descr();
            else if (key == "fortran_order" && !std::exchange(order, true)) header.fortran_order = read_bool();
            else if (key == "shape" && !std::exchange(shape, true)) header.shape = read_shape();
            else fail("the header's key '" + key + "' is unknown or stands twice");
            if (accept(',')) continue;
            expect('}');
            break;
        }
        skip_space();
        if (position_ != text_.size()) fail("the header goes on after its dict");
        if (!descr || !order || !shape) fail("the header lacks one of 'descr', 'fortran_order' and 'shape'");
        return header;
    }

private:
    [[noreturn]] void fail(const std::string &cause) const {
        throw std::runtime_error("'" + name_ + "' is not a valid .npy file: " + cause);
    }

    void skip_space() {
        while (position_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[position_]))) ++position_;
    }

    bool accept(char c) {
        skip_space();
        if (position_ == text_.size() || text_[position_] != c) return false;
        ++position_;
        return true;
    }

    void expect(char c) {
        if (!accept(c)) fail(std::string("the header is malformed: '") + c + "' is missing");
    }

    std::string read_string() {
        skip_space();
        const char quote = position_ < text_.size() ? text_[position_] : '\0';
        const std::size_t end = quote == '\'' || quote == '"' ? text_.find(quote, position_ + 1) : text_.npos;
        if (end == text_.npos) fail("the header is malformed: a string is missing");
        const std::string value(text_.substr(position_ + 1, end - position_ - 1));
        position_ = end + 1;
        return value;
    }

    std::string read_descr() {
        skip_space();
        if (position_ < text_.size() && (text_[position_] == '[' || text_[position_] == '('))
            throw std::runtime_error("'" + name_ + "' holds records (a structured dtype), not plain numbers");
        return read_string();
    }

    bool read_bool() {
        skip_space();
        for (const std::string_view word : {"True", "False"}) {
            if (text_.substr(position_, word.size()) != word) continue;
            position_ += word.size();
            return word == "True";
        }
        fail("the header's 'fortran_order' is neither True nor False");
    }

    Shape read_shape() {
        Shape shape;
        expect('(');
        while (!accept(')')) {
            shape.push_back(read_extent());
            if (accept(',')) continue;
            if (shape.size() == 1) fail("the header's 'shape' is not a tuple");
            expect(')');
            break;
        }
        return shape;
    }

    std::int64_t read_extent() {
        skip_space();
        const char *begin = text_.data() + position_, *end = text_.data() + text_.size();
        std::int64_t extent = 0;
        const auto [stop, error] = std::from_chars(begin, end, extent);
        if (error == std::errc::result_out_of_range) fail("an extent in the header's 'shape' overflows 64 bits");
        if (error != std::errc()) fail("the header's 'shape' holds something that is no integer");
        if (extent < 0) fail("the header's 'shape' holds a negative extent");
        position_ += static_cast<std::size_t>(stop - begin);
        if (position_ < text_.size() && text_[position_] == 'L') ++position_;  // Python 2's long integers
        return extent;
    }

    std::string_view text_;
    const std::string &name_;
    std::size_t position_ = 0;
};

bool is_byte_order(char c) { return c == '<' || c == '>' || c == '=' || c == '|'; }

const NpyType &npy_type(const std::string &descr, const std::string &name) {
    std::string_view type = descr;
    if (!type.empty() && is_byte_order(type.front())) type.remove_prefix(1);
    const auto found = std::find_if(std::begin(npy_types), std::end(npy_types),
                                    [&](const NpyType &known) { return known.name == type; });
    if (found == std::end(npy_types))
        throw std::runtime_error("'" + name + "' holds elements of the NumPy type '" + descr +
                                 "', which halpool does not know");
    return *found;
}

Shape fortran_strides(const Shape &shape) {
    Shape strides;
    std::uint64_t next = 1;
    for (const std::int64_t extent : shape) {
        strides.push_back(static_cast<std::int64_t>(next));
        next *= static_cast<std::uint64_t>(std::max<std::int64_t>(extent, 1));
    }
    return strides;
}

void swap_bytes(unsigned char *data, std::size_t bytes, std::size_t word) {
    for (std::size_t i = 0; i < bytes; i += word) std::reverse(data + i, data + i + word);
}

}  // namespace

Array decode_npy(std::vector<unsigned char> file, const std::string &name, std::optional<DType> dtype) {
    const auto fail = [&](const std::string &cause) {
        throw std::runtime_error("'" + name + "' is not a valid .npy file: " + cause);
    };
    const std::string_view text(reinterpret_cast<const char *>(file.data()), file.size());
    if (text.substr(0, magic.size()) != magic) fail("it does not begin with NumPy's magic string");
    if (file.size() < magic.size() + 2) fail("it ends within its header");
    const unsigned major = file[6], minor = file[7];
    if (major < 1 || major > 3 || minor != 0)
        fail("its format version " + std::to_string(major) + "." + std::to_string(minor) + " is unknown");

    const std::size_t length_bytes = major == 1 ? 2 : 4;
    const std::size_t header_begin = magic.size() + 2 + length_bytes;
    if (file.size() < header_begin) fail("it ends within its header");
    std::size_t header_length = 0;
    for (std::size_t i = length_bytes; i-- > 0;) header_length = header_length << 8 | file[magic.size() + 2 + i];
    if (file.size() - header_begin < header_length) fail("it ends within its header");

    const NpyHeader header = HeaderReader(text.substr(header_begin, header_length), name).read();
    const NpyType &type = npy_type(header.descr, name);
    if (type.dtype == DType::bf16 && dtype != DType::bf16)
        throw std::runtime_error("'" + name + "' holds elements of the NumPy type '" + header.descr +
                                 "', which halpool takes for bfloat16 alone: say --dtype bfloat16");
    if (dtype && *dtype != type.dtype)
        throw std::runtime_error("'" + name + "' holds elements of the NumPy type '" + header.descr + "', not " + dtype_name(*dtype));
    const TensorDesc desc(header.shape,
                          header.fortran_order ? fortran_strides(header.shape)
                                               : detail::dense_strides(header.shape, MemoryFormat::contiguous),
                          type.dtype);

    const std::size_t offset = header_begin + header_length, present = file.size() - offset;
    std::size_t announced = 0;
    try {
        announced = element_count(desc) * element_size(type.dtype);
    } catch (const std::bad_alloc &) {
        fail("the size of its array overflows 64 bits");
    }
    if (present < announced)
        fail("its header announces " + std::to_string(announced) + " bytes of data, but only " +
             std::to_string(present) + " follow");
    if (present > announced)
        fail(std::to_string(present - announced) + " bytes follow after the " + std::to_string(announced) +
             " that its header announces");

    Array array{desc, std::move(file), offset};
    if (offset % alignof(std::max_align_t) != 0) {  // a header that was not padded: kernels want aligned elements
        std::memmove(array.bytes.data(), array.bytes.data() + offset, announced);
        array.offset = 0;
    }
    if (header.descr[0] == '>') swap_bytes(array.bytes.data() + array.offset, announced, type.word);
    return array;
}

std::vector<unsigned char> encode_npy(const Array &array) {
    const TensorDesc planar(array.desc.shape(), array.desc.dtype());
    if (array.desc.strides() != planar.strides()) return encode_npy(repacked(array, planar));

    const auto type = std::find_if(std::begin(npy_types), std::end(npy_types),
                                   [&](const NpyType &known) { return known.dtype == array.desc.dtype(); });
    if (type == std::end(npy_types)) throw std::runtime_error("NumPy has no type for these elements");
    std::string header = "{'descr': '" + std::string(type->word == 1 ? "|" : "<") + std::string(type->name) +
                         "', 'fortran_order': False, 'shape': (";
    for (const std::int64_t extent : array.desc.shape()) header += std::to_string(extent) + ", ";
    if (array.desc.shape().size() > 1) header.resize(header.size() - 2);
    header += "), }";
    const std::size_t prefix = magic.size() + 4;
    header.append(data_alignment - 1 - (prefix + header.size()) % data_alignment, ' ');
    header += '\n';

    std::vector<unsigned char> file;
    const std::size_t data_bytes = element_count(array.desc) * element_size(array.desc.dtype());
    file.reserve(prefix + header.size() + data_bytes);
    file.insert(file.end(), magic.begin(), magic.end());
    file.insert(file.end(), {1, 0, static_cast<unsigned char>(header.size() & 0xff),
                             static_cast<unsigned char>(header.size() >> 8)});
    file.insert(file.end(), header.begin(), header.end());
    const auto *data = static_cast<const unsigned char *>(array.data());
    file.insert(file.end(), data, data + data_bytes);
    return file;
}

}  // namespace halpool::cli
