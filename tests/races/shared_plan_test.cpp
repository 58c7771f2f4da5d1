// Eight threads execute one plan, some serially, some on the library's pool: a small program for Helgrind and
// ThreadSanitizer to watch.
#include <halpool/halpool.hpp>

#include <atomic>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int kThreads = 8;
constexpr int kRounds = 4;
constexpr int kShares = 3;
const std::vector<std::int64_t> kInput = {2, 24, 42, 38};  // enough work to be worth kShares

int backwards(void *enough_shares, std::int32_t tasks, halpool_task task, void *context) {
    if (tasks != kShares) *static_cast<std::atomic<bool> *>(enough_shares) = false;
    for (std::int32_t i = tasks; i-- > 0;) task(context, i);
    return 0;
}

bool share_one_plan(halpool::MemoryFormat format, int kernel, int stride, int padding, bool describe_first) {
    halpool::AvgPool2dOptions options;
    options.stride = stride;
    options.padding = padding;
    const halpool::TensorDesc in(kInput, halpool::DType::f32, format);
    const halpool::TensorDesc out(halpool::avg_pool2d_output_shape(in, kernel, options), halpool::DType::f32,
                                  format);
    const halpool::AvgPool2dPlan plan(in, out, kernel, options);
    std::printf("%s\n", plan.kernel().c_str());
    if (describe_first) static_cast<void>(plan.describe());

    const auto elements = [](const halpool::Shape &shape) {
        std::size_t count = 1;
        for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
        return count;
    };
    std::vector<float> input(elements(kInput));
    for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<float>(i % 101);
    const std::size_t count = elements(out.shape());
    std::vector<float> serial(count);
    plan.execute(input.data(), serial.data());

    std::atomic<bool> enough_shares{true};
    std::vector<std::vector<float>> outputs(kThreads, std::vector<float>(count));
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t)
        threads.emplace_back([&, t] {
            float *const output = outputs[static_cast<std::size_t>(t)].data();
            for (int round = 0; round < kRounds; ++round) {
                if (t % 4 == 0) plan.execute(input.data(), output);
                if (t % 4 == 1) plan.execute(input.data(), output, kShares);
                if (t % 4 == 2)
                    for (int part = 0; part < kShares; ++part) plan.execute_part(input.data(), output, part, kShares);
                if (t % 4 == 3) {
                    halpool_execution execution = HALPOOL_EXECUTION_INIT;
                    execution.threads = kShares;
                    execution.parallel_for = backwards;
                    execution.parallel_for_context = &enough_shares;
                    plan.execute(input.data(), output, execution);
                }
                static_cast<void>(plan.describe());
            }
        });
    for (std::thread &thread : threads) thread.join();
    if (!enough_shares) {
        std::fprintf(stderr, "the work was not shared out as asked\n");
        return false;
    }
    for (const std::vector<float> &output : outputs)
        if (output != serial) {
            std::fprintf(stderr, "a thread's output differs from the serial one\n");
            return false;
        }
    return true;
}

}  // namespace

// Helgrind does not know that pthread_once orders what it made before who reads it: with --describe-first the text
// of a plan, made on first use, is made before the threads start.
int main(int argc, char **argv) {
    const bool describe_first = argc > 1 && std::string(argv[1]) == "--describe-first";
    bool good = true;
    for (const halpool::MemoryFormat format :
         {halpool::MemoryFormat::contiguous, halpool::MemoryFormat::channels_last}) {
        good = share_one_plan(format, 2, 2, 0, describe_first) && good;
        good = share_one_plan(format, 3, 1, 1, describe_first) && good;
        good = share_one_plan(format, 5, 2, 2, describe_first) && good;
    }
    return good ? 0 : 1;
}
