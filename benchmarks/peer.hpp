// What every peer of the benchmark shares: the workload, the buffers, the clock, and the line protocol in which
// bench.py commands it. A peer is a process: its threads, its allocator and its faults are its own.
//
//   ready                                          -> ok VERSION              of the library; may be empty
//   setup LAYOUT N C H W KH KW SH SW PH PW INCLUDE -> ok NANOSECONDS          estimated; the output is there. Further
//                                                                             words: 1, ceil_mode, which halpool alone
//                                                                             does; a dtype other than f32; backward: from
//                                                                             the pooled tensor's gradient to the other's
//   keep N                                         -> ok                      so many earlier buffers stay
//   run REPETITIONS                                -> ok NAME NANOSECONDS...  of a call, one figure a repetition
//   write PATH                                     -> ok                      the output's bytes
//   compare PATH                                   -> ok DIFFERENCE           the largest against such a file
//
// The answer to what a peer cannot do is "unsupported REASON", to a failure "error REASON". The end of its input
// ends the peer.
#ifndef HALPOOL_BENCHMARKS_PEER_HPP
#define HALPOOL_BENCHMARKS_PEER_HPP

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <functional>
#include <iostream>
#include <limits>
#include <memory>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace bench {

enum class DType { f32, f64, f16, bf16, i8, u8 };

inline DType dtype_named(const std::string &name) {
    static const std::pair<const char *, DType> kNames[] = {{"f32", DType::f32}, {"f64", DType::f64}, {"f16", DType::f16},
                                                            {"bf16", DType::bf16}, {"i8", DType::i8}, {"u8", DType::u8}};
    for (const auto &known : kNames)
        if (name == known.first) return known.second;
    throw std::runtime_error("no such dtype: " + name);
}

inline std::size_t element_bytes(DType dtype) {
    switch (dtype) {
        case DType::f64: return 8;
        case DType::f16:
        case DType::bf16: return 2;
        case DType::i8:
        case DType::u8: return 1;
        default: return 4;
    }
}

struct Workload {
    std::string layout;  // "nchw" or "nhwc"
    std::int64_t n, c, h, w;
    std::int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
    bool count_include_pad, ceil_mode, backward;
    DType dtype;

    bool channels_last() const { return layout == "nhwc"; }
    std::int64_t output_h() const { return pooled(h, kernel_h, stride_h, pad_h); }
    std::int64_t output_w() const { return pooled(w, kernel_w, stride_w, pad_w); }
    std::int64_t pooled(std::int64_t extent, std::int64_t kernel, std::int64_t stride, std::int64_t pad) const {
        const std::int64_t steps = (extent + 2 * pad - kernel + (ceil_mode ? stride - 1 : 0)) / stride;
        return steps + (ceil_mode && steps * stride >= extent + pad ? 0 : 1);  // no window begins behind the input
    }
    std::size_t input_elements() const { return static_cast<std::size_t>(n * c * h * w); }
    std::size_t output_elements() const { return static_cast<std::size_t>(n * c * output_h() * output_w()); }
    // Of what is read and what is written: of the backward pass, the pooled tensor's gradient and the other's.
    std::size_t read_elements() const { return backward ? output_elements() : input_elements(); }
    std::size_t written_elements() const { return backward ? input_elements() : output_elements(); }
    std::size_t input_bytes() const { return read_elements() * element_bytes(dtype); }
    std::size_t output_bytes() const { return written_elements() * element_bytes(dtype); }
};

// One way to do the workload; where a peer has several, the fastest counts.
struct Operation {
    std::string name;  // without spaces
    std::function<void()> execute;
    // Of a device that works asynchronously: wait until all is done, and bring the output to the host's buffer.
    std::function<void()> finish = {}, fetch = {};
};

struct Unsupported : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline void need_f32(const Workload &workload) {
    if (workload.dtype != DType::f32 || workload.backward) throw Unsupported("the forward pass of f32 alone");
}

// The same allocation in every peer, so that none has luckier addresses than another.
class Buffer {
public:
    Buffer() = default;
    explicit Buffer(std::size_t bytes) {
        const std::size_t whole = (bytes + 63) / 64 * 64;
        data_.reset(std::aligned_alloc(64, whole));
        if (!data_) throw std::bad_alloc();
        std::memset(data_.get(), 0, whole);
    }
    void *data() const { return data_.get(); }

private:
    struct Free {
        void operator()(void *data) const { std::free(data); }
    };
    std::unique_ptr<void, Free> data_;
};

template <class T>
T load(const void *data, std::size_t i) {
    T value;
    std::memcpy(&value, static_cast<const char *>(data) + i * sizeof value, sizeof value);
    return value;
}

template <class T>
void store(void *data, std::size_t i, T value) {
    std::memcpy(static_cast<char *>(data) + i * sizeof value, &value, sizeof value);
}

// The number that element i stands for.
inline double number(DType dtype, const void *data, std::size_t i) {
    switch (dtype) {
        case DType::f32: return load<float>(data, i);
        case DType::f64: return load<double>(data, i);
        case DType::i8: return load<std::int8_t>(data, i);
        case DType::u8: return load<std::uint8_t>(data, i);
        case DType::bf16: {  // the upper half of a float
            const std::uint32_t bits = static_cast<std::uint32_t>(load<std::uint16_t>(data, i)) << 16;
            return load<float>(&bits, 0);
        }
        case DType::f16: break;
    }
    const std::uint16_t bits = load<std::uint16_t>(data, i);
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double magnitude = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31)
        magnitude = fraction != 0 ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
    return bits >> 15 != 0 ? -magnitude : magnitude;
}

// A hash of the index, the same tensor in every peer. Floats: in [-1, 1), without denormals, NaN and patterns, and of no
// more bits than the dtype has, so that their conversion is no rounding. Integers: of the whole range.
inline void fill(DType dtype, void *data, std::size_t elements) {
    const int significant = dtype == DType::bf16 ? 8 : dtype == DType::f16 ? 11 : 24;
    const float unit = std::ldexp(1.0f, 1 - significant);
    for (std::size_t i = 0; i < elements; ++i) {
        std::uint32_t bits = static_cast<std::uint32_t>(i) * 2654435761u;
        bits ^= bits >> 15;
        bits *= 2246822519u;
        bits ^= bits >> 13;
        const float value = static_cast<float>(bits >> (32 - significant)) * unit - 1.0f;
        const std::uint32_t float_bits = load<std::uint32_t>(&value, 0);
        switch (dtype) {
            case DType::f32: store(data, i, value); break;
            case DType::f64: store(data, i, static_cast<double>(value)); break;
            case DType::i8:
            case DType::u8: store(data, i, static_cast<std::uint8_t>(bits >> 24)); break;
            case DType::bf16: store(data, i, static_cast<std::uint16_t>(float_bits >> 16)); break;
            case DType::f16: {  // another bias, and 13 bits of the fraction less, which are zeros
                const std::uint32_t magnitude = value == 0 ? 0 : ((float_bits & 0x7fffffffu) - (112u << 23)) >> 13;
                store(data, i, static_cast<std::uint16_t>((float_bits >> 16 & 0x8000u) | magnitude));
                break;
            }
        }
    }
}

class Measurement {
public:
    using Clock = std::chrono::steady_clock;
    // Some hundred times what reading the clock costs; or what waiting for a device does.
    double batch_ns() const { return operation_.finish ? 3e6 : 20e3; }

    explicit Measurement(Operation operation) : operation_(std::move(operation)) {
        // The first call may start threads or touch pages, and any one may lose its core for a while.
        call_ns_ = time(1);
        for (int i = 0; i < 5 && call_ns_ < 50e6; ++i) call_ns_ = std::min(call_ns_, time(batch_of(batch_ns())));
        batch_ = batch_of(batch_ns());
    }

    const std::string &name() const { return operation_.name; }
    double call_ns() const { return call_ns_; }

    // The peer that ran before left its own data in the caches. Beyond 50 ms a call streams through them anyway.
    void warm() const {
        if (call_ns_ < 50e6) time(batch_of(200e3));
    }

    double repetition_ns() const { return time(batch_); }

    void fetch() const {
        if (operation_.fetch) operation_.fetch();
    }

private:
    int batch_of(double ns) const { return static_cast<int>(std::clamp(std::ceil(ns / call_ns_), 1.0, 1e5)); }

    double time(int calls) const {
        const Clock::time_point begin = Clock::now();
        for (int i = 0; i < calls; ++i) operation_.execute();
        if (operation_.finish) operation_.finish();
        const std::chrono::duration<double, std::nano> elapsed = Clock::now() - begin;
        return std::max(elapsed.count() / calls, 0.1);
    }

    Operation operation_;
    int batch_ = 1;
    double call_ns_ = 0;
};

// Plan gets a workload and buffers for its input and its output, both of the larger one's size.
class Peer {
public:
    using Plan = std::function<std::vector<Operation>(const Workload &, const void *input, void *output)>;

    // Commands of one peer alone: whether the verb is one of them, and then obeyed.
    using Commands = std::function<bool(const std::string &verb, std::istream &command, std::ostream &answer)>;

    explicit Peer(Plan plan, std::string version = "", Commands others = {}) : plan_(std::move(plan)), version_(std::move(version)), obeys_also_(std::move(others)) {}

    int serve() {
        for (std::string line; std::getline(std::cin, line);) {
            std::istringstream command(line);
            std::ostringstream answer;
            try {
                obey(command, answer);
                std::cout << "ok" << answer.str() << std::endl;
            } catch (const Unsupported &reason) {
                std::cout << "unsupported " << reason.what() << std::endl;
            } catch (const std::exception &reason) {
                std::cout << "error " << reason.what() << std::endl;
            }
        }
        return 0;
    }

private:
    void obey(std::istream &command, std::ostream &answer) {
        std::string verb, path;
        command >> verb;
        if (verb == "ready") {
            answer << ' ' << version_;
        } else if (verb == "setup") {
            Workload w;
            command >> w.layout >> w.n >> w.c >> w.h >> w.w >> w.kernel_h >> w.kernel_w >> w.stride_h >>
                w.stride_w >> w.pad_h >> w.pad_w >> w.count_include_pad;
            if (!command) throw std::runtime_error("setup: not a workload");
            w.ceil_mode = w.backward = false;
            w.dtype = DType::f32;
            for (std::string word; command >> word;) {
                if (word == "1")
                    w.ceil_mode = true;
                else if (word == "backward")
                    w.backward = true;
                else
                    w.dtype = dtype_named(word);
            }
            set_up(w);
            answer << ' ' << fastest([](const Measurement &m) { return m.call_ns(); }).second;
        } else if (verb == "keep") {
            command >> most_kept_;
            kept_.clear();
        } else if (verb == "run") {
            int repetitions = 0;
            command >> repetitions;
            run(repetitions, answer);
        } else if (verb == "write") {
            command >> path;
            for (const Measurement &measurement : measurements_) measurement.fetch();
            std::ofstream file(path, std::ios::binary);
            file.write(static_cast<const char *>(output_.data()), static_cast<std::streamsize>(workload_.output_bytes()));
            if (!file.flush()) throw std::runtime_error("cannot write " + path);
        } else if (verb == "compare") {
            command >> path;
            for (const Measurement &measurement : measurements_) measurement.fetch();
            answer << ' ' << difference(path);
        } else {
            if (!obeys_also_ || !obeys_also_(verb, command, answer)) throw std::runtime_error("no such command: " + verb);
        }
    }

    void set_up(const Workload &workload) {
        measurements_.clear();
        workload_ = workload;
        const std::size_t bytes = std::max(workload.input_bytes(), workload.output_bytes());
        kept_.push_back(std::move(input_));
        kept_.push_back(std::move(output_));
        const std::size_t most = std::min(most_kept_, kMostKeptBytes / std::max<std::size_t>(bytes, 1));
        while (kept_.size() > most) kept_.pop_front();
        input_ = Buffer(bytes);
        output_ = Buffer(bytes);
        fill(workload.dtype, input_.data(), workload.read_elements());
        for (Operation &operation : plan_(workload_, input_.data(), output_.data()))
            measurements_.emplace_back(std::move(operation));
    }

    void run(int repetitions, std::ostream &answer) {
        for (const Measurement &measurement : measurements_) measurement.warm();
        std::ostringstream figures;
        std::pair<std::string, double> best{"", std::numeric_limits<double>::infinity()};
        for (int i = 0; i < repetitions; ++i) {
            const auto repetition = fastest([](const Measurement &m) { return m.repetition_ns(); });
            figures << ' ' << repetition.second;
            if (repetition.second < best.second) best = repetition;
        }
        answer << ' ' << best.first << figures.str();
    }

    template <class Figure>
    std::pair<std::string, double> fastest(Figure figure) const {
        std::pair<std::string, double> best{"", std::numeric_limits<double>::infinity()};
        for (const Measurement &measurement : measurements_) {
            const double ns = figure(measurement);
            if (ns < best.second) best = {measurement.name(), ns};
        }
        return best;
    }

    double difference(const std::string &path) const {
        std::vector<char> expected(workload_.output_bytes());
        std::ifstream file(path, std::ios::binary);
        if (!file.read(expected.data(), static_cast<std::streamsize>(expected.size())))
            throw std::runtime_error("cannot read " + path);
        double largest = 0;
        for (std::size_t i = 0; i < workload_.written_elements(); ++i) {
            const double difference =
                std::abs(number(workload_.dtype, expected.data(), i) - number(workload_.dtype, output_.data(), i));
            // Not std::max: a NaN must not get lost.
            if (!(difference <= largest)) largest = difference;
        }
        return largest;
    }

    Plan plan_;
    std::string version_;
    Commands obeys_also_;
    Workload workload_{};
    Buffer input_, output_;
    // "keep N": so many buffers of earlier set-ups stay, so that a new one gets other memory. Which of a tensor's lines meet in a cache is up
    // to where its pages lie, and is worth a tenth of the time and more.
    static constexpr std::size_t kMostKeptBytes = std::size_t{1} << 30;
    std::size_t most_kept_ = 0;
    std::deque<Buffer> kept_;
    std::vector<Measurement> measurements_;
};

}  // namespace bench

#endif  // HALPOOL_BENCHMARKS_PEER_HPP
