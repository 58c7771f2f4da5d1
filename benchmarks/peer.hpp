// What every peer of the benchmark shares: the workload, the buffers, the clock, and the line protocol in which
// bench.py commands it. A peer is a process: its threads, its allocator and its faults are its own.
//
//   ready                                          -> ok VERSION              of the library; may be empty
//   setup LAYOUT N C H W KH KW SH SW PH PW INCLUDE -> ok NANOSECONDS          estimated; the output is there. A further
//                                                                             1: ceil_mode, which halpool alone does
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
#include <fstream>
#include <functional>
#include <iostream>
#include <limits>
#include <memory>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {

struct Workload {
    std::string layout;  // "nchw" or "nhwc"
    std::int64_t n, c, h, w;
    std::int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
    bool count_include_pad, ceil_mode;

    bool channels_last() const { return layout == "nhwc"; }
    std::int64_t output_h() const { return pooled(h, kernel_h, stride_h, pad_h); }
    std::int64_t output_w() const { return pooled(w, kernel_w, stride_w, pad_w); }
    std::int64_t pooled(std::int64_t extent, std::int64_t kernel, std::int64_t stride, std::int64_t pad) const {
        const std::int64_t steps = (extent + 2 * pad - kernel + (ceil_mode ? stride - 1 : 0)) / stride;
        return steps + (ceil_mode && steps * stride >= extent + pad ? 0 : 1);  // no window begins behind the input
    }
    std::size_t input_elements() const { return static_cast<std::size_t>(n * c * h * w); }
    std::size_t output_elements() const { return static_cast<std::size_t>(n * c * output_h() * output_w()); }
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

// The same allocation in every peer, so that none has luckier addresses than another.
class Buffer {
public:
    Buffer() = default;
    explicit Buffer(std::size_t elements) {
        const std::size_t bytes = (elements * sizeof(float) + 63) / 64 * 64;
        data_.reset(static_cast<float *>(std::aligned_alloc(64, bytes)));
        if (!data_) throw std::bad_alloc();
        std::fill_n(data_.get(), bytes / sizeof(float), 0.0f);
    }
    float *data() const { return data_.get(); }

private:
    struct Free {
        void operator()(float *data) const { std::free(data); }
    };
    std::unique_ptr<float, Free> data_;
};

// A hash of the index, in [-1, 1): the same tensor in every peer, without denormals, NaN and patterns.
inline void fill(float *data, std::size_t elements) {
    for (std::size_t i = 0; i < elements; ++i) {
        std::uint32_t bits = static_cast<std::uint32_t>(i) * 2654435761u;
        bits ^= bits >> 15;
        bits *= 2246822519u;
        bits ^= bits >> 13;
        data[i] = static_cast<float>(bits >> 8) * 0x1p-23f - 1.0f;
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
    using Plan = std::function<std::vector<Operation>(const Workload &, const float *input, float *output)>;

    explicit Peer(Plan plan, std::string version = "") : plan_(std::move(plan)), version_(std::move(version)) {}

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
            if (!(command >> w.ceil_mode)) w.ceil_mode = false;
            set_up(w);
            answer << ' ' << fastest([](const Measurement &m) { return m.call_ns(); }).second;
        } else if (verb == "run") {
            int repetitions = 0;
            command >> repetitions;
            run(repetitions, answer);
        } else if (verb == "write") {
            command >> path;
            for (const Measurement &measurement : measurements_) measurement.fetch();
            std::ofstream file(path, std::ios::binary);
            file.write(reinterpret_cast<const char *>(output_.data()), output_bytes());
            if (!file.flush()) throw std::runtime_error("cannot write " + path);
        } else if (verb == "compare") {
            command >> path;
            for (const Measurement &measurement : measurements_) measurement.fetch();
            answer << ' ' << difference(path);
        } else {
            throw std::runtime_error("no such command: " + verb);
        }
    }

    void set_up(const Workload &workload) {
        measurements_.clear();
        workload_ = workload;
        const std::size_t elements = std::max(workload.input_elements(), workload.output_elements());
        input_ = Buffer();
        output_ = Buffer();
        input_ = Buffer(elements);
        output_ = Buffer(elements);
        fill(input_.data(), workload.input_elements());
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

    std::streamsize output_bytes() const {
        return static_cast<std::streamsize>(workload_.output_elements() * sizeof(float));
    }

    double difference(const std::string &path) const {
        std::vector<float> expected(workload_.output_elements());
        std::ifstream file(path, std::ios::binary);
        if (!file.read(reinterpret_cast<char *>(expected.data()), output_bytes()))
            throw std::runtime_error("cannot read " + path);
        double largest = 0;
        for (std::size_t i = 0; i < expected.size(); ++i) {
            const double difference = std::abs(static_cast<double>(expected[i]) - output_.data()[i]);
            // Not std::max: a NaN must not get lost.
            if (!(difference <= largest)) largest = difference;
        }
        return largest;
    }

    Plan plan_;
    std::string version_;
    Workload workload_{};
    Buffer input_, output_;
    std::vector<Measurement> measurements_;
};

}  // namespace bench

#endif  // HALPOOL_BENCHMARKS_PEER_HPP
