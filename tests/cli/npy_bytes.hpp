// .npy files as the tests write and read them: by hand, so that they can be wrong in any way, and so that the
// program's own reader and writer are not checked with themselves.
#ifndef HALPOOL_TESTS_CLI_NPY_BYTES_HPP
#define HALPOOL_TESTS_CLI_NPY_BYTES_HPP

#include <cstdint>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace halpool_test {

// The header's text is taken as it is.
inline std::string npy_bytes(const std::string &header, const std::string &data, int version = 1) {
    std::string file = "\x93NUMPY";
    file += static_cast<char>(version);
    file += '\0';
    for (int i = 0; i < (version == 1 ? 2 : 4); ++i) file += static_cast<char>(header.size() >> (8 * i) & 0xff);
    return file + header + data;
}

// As NumPy pads it: the data begins at a multiple of 64.
inline std::string padded_header(std::string header, int version = 1) {
    const std::size_t before = version == 1 ? 10 : 12;
    while ((before + header.size() + 1) % 64 != 0) header += ' ';
    return header + '\n';
}

inline std::string npy_header(const std::string &descr, const std::string &shape, bool fortran_order = false) {
    return padded_header("{'descr': '" + descr + "', 'fortran_order': " + (fortran_order ? "True" : "False") +
                         ", 'shape': " + shape + ", }");
}

template <class T>
std::string bytes_of(const std::vector<T> &values) {
    return {reinterpret_cast<const char *>(values.data()), values.size() * sizeof(T)};
}

inline std::string float_npy(const std::string &shape, const std::vector<float> &values) {
    return npy_bytes(npy_header("<f4", shape), bytes_of(values));
}

struct FloatArray {
    std::vector<std::int64_t> shape;
    std::vector<float> values;  // in C order
};

// Reads what the program has to write: version 1.0, '<f4', C order, data at a multiple of 64, nothing behind it.
inline FloatArray read_float_npy(const std::string &file) {
    const auto demand = [](bool met, const char *what) {
        if (!met) throw std::runtime_error(std::string("not the .npy file that halpool writes: ") + what);
    };
    demand(file.size() >= 10 && file.compare(0, 8, std::string("\x93NUMPY\x01\x00", 8)) == 0, "magic");
    const std::size_t begin =
        10 + static_cast<unsigned char>(file[8]) + 256u * static_cast<unsigned char>(file[9]);
    demand(begin % 64 == 0 && begin <= file.size() && file[begin - 1] == '\n', "the header's length");
    const std::string header = file.substr(10, begin - 10);
    const std::size_t open = header.find('('), close = header.find(')', open);
    demand(close != std::string::npos, "the shape");
    demand(header == npy_header("<f4", header.substr(open, close - open + 1)), "the header's text");
    FloatArray array;
    std::size_t count = 1;
    std::istringstream extents(header.substr(open + 1, close - open - 1));
    for (std::string extent; std::getline(extents, extent, ',');) {
        array.shape.push_back(std::stoll(extent));
        count *= static_cast<std::size_t>(array.shape.back());
    }
    demand(file.size() - begin == count * sizeof(float), "the data's length");
    array.values.resize(count);
    if (count > 0) std::memcpy(array.values.data(), file.data() + begin, count * sizeof(float));
    return array;
}

}  // namespace halpool_test

#endif
