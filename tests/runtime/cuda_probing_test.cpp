// The CUDA launcher without a GPU: what it says when something is missing, and what it asks of the driver when
// nothing is. The driver is fake_cuda_driver.cpp. Whether there is one is found out once in a process, so that
// each case here runs in a process of its own, which finds its libcuda.so.1 as any program does.
#include "device_api.hpp"
#include "kernels_under_test.hpp"
#include "runtime/fake_cuda_driver.hpp"
#include "runtime/process_with_driver.hpp"

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <numeric>
#include <thread>

extern "C" const halpool::DeviceApi halpool_device_cuda;

namespace halpool_test {
namespace {

const std::string kFakeDriver = HALPOOL_FAKE_CUDA_DIR, kOldFakeDriver = HALPOOL_OLD_FAKE_CUDA_DIR;

std::string made_directory(const std::string &name) {
    const std::string directory = kFakeDriver + "/" + name;
    std::filesystem::create_directories(directory);
    return directory;
}

// See fake_cuda_driver.hpp for settings.
template <class Body>
void with_driver(const std::string &directory, const std::string &settings, Body body) {
    in_process_with(directory, {{"HALPOOL_FAKE_CUDA", settings}}, body);
}

// Changes what the driver does from here on.
void now(const std::string &settings) { setenv("HALPOOL_FAKE_CUDA", settings.c_str(), 1); }

template <class Function>
Function driver_function(const char *name) {
    void *const library = dlopen("libcuda.so.1", RTLD_NOW);
    return library ? reinterpret_cast<Function>(dlsym(library, name)) : nullptr;
}

FakeCuda &fake() { return *driver_function<FakeCuda *(*)()>(kFakeCudaSymbol)(); }

// What a program that uses CUDA has done before it calls halpool.
void caller_starts_cuda() { EXPECT_EQ(driver_function<int (*)(unsigned int)>("cuInit")(0), 0); }

const Problem kProblem{{1, 4, 8, 8}, {2}};
constexpr std::size_t kInputBytes = 4 * 8 * 8 * sizeof(float), kOutputBytes = 4 * 4 * 4 * sizeof(float);

PlanAttempt plan_on(std::int32_t device, const void *data = nullptr, const char *target = nullptr) {
    const halpool_avg_pool2d_options options = kProblem.c_options();
    const StridedLayout input = planar({1, 4, 8, 8}), output = planar({1, 4, 4, 4});
    const halpool_tensor_desc in = input.desc(), out = output.desc();
    halpool_plan_options plan_options = HALPOOL_PLAN_OPTIONS_INIT;
    plan_options.device = device;
    plan_options.data = data;
    plan_options.target = target;
    PlanAttempt attempt;
    halpool_plan *plan = nullptr;
    attempt.status = halpool_plan_create_avg_pool2d(&options, &in, &out, &plan_options, &plan, &attempt.error);
    attempt.plan.reset(plan);
    return attempt;
}

PlanAttempt cuda_plan() {
    PlanAttempt attempt = plan_on(HALPOOL_DEVICE_CUDA);
    EXPECT_EQ(attempt.status, HALPOOL_OK) << attempt.error.message;
    return attempt;
}

struct Outcome {
    halpool_status status;
    std::string message;
};

Outcome execute(const PlanAttempt &made, const void *input, void *output, void *stream = nullptr) {
    halpool_execution execution = HALPOOL_EXECUTION_INIT;
    execution.stream = stream;
    halpool_error error{};
    const halpool_status status = halpool_plan_execute(made.plan.get(), input, output, &execution, &error);
    return {status, error.message};
}

halpool_device_info cuda_device() {
    for (std::size_t i = 0; i < halpool_device_count(); ++i)
        if (halpool_device_at(i).device == HALPOOL_DEVICE_CUDA) return halpool_device_at(i);
    return {0, "", 0, "not linked"};
}

#define EXPECT_HAS(whole, part) EXPECT_PRED2(holds, std::string(whole), std::string(part))
bool holds(const std::string &whole, const std::string &part) { return whole.find(part) != std::string::npos; }

// Pooling of host memory works all the same.
void expect_the_cpu_works() {
    std::vector<float> input(kInputBytes / sizeof(float)), output(kOutputBytes / sizeof(float));
    std::iota(input.begin(), input.end(), 0.0f);
    const halpool_avg_pool2d_options options = kProblem.c_options();
    const StridedLayout in = planar({1, 4, 8, 8}), out = planar({1, 4, 4, 4});
    const halpool_tensor_desc in_desc = in.desc(), out_desc = out.desc();
    halpool_error error{};
    EXPECT_EQ(halpool_avg_pool2d(&options, &in_desc, input.data(), &out_desc, output.data(), &error), HALPOOL_OK)
        << error.message;
    EXPECT_EQ(output[0], (0 + 1 + 8 + 9) / 4.0f);
    EXPECT_EQ(output.back(), (246 + 247 + 254 + 255) / 4.0f);
}

// There is no CUDA for a reason that holds `part`, and everything that asks for CUDA gets that reason.
void expect_unavailable(const std::string &part) {
    const halpool_device_info device = cuda_device();
    EXPECT_FALSE(device.available);
    EXPECT_HAS(device.reason, part);

    const PlanAttempt plan = plan_on(HALPOOL_DEVICE_CUDA);
    EXPECT_EQ(plan.status, HALPOOL_ERROR_UNSUPPORTED);
    EXPECT_HAS(plan.error.message, part);

    halpool_memory *memory = nullptr;
    halpool_error error{};
    EXPECT_EQ(halpool_memory_create(HALPOOL_DEVICE_CUDA, 64, &memory, &error), HALPOOL_ERROR_UNSUPPORTED);
    EXPECT_HAS(error.message, part);
    EXPECT_EQ(memory, nullptr);

    int targets = 0;
    for (std::size_t i = 0; i < halpool_target_count(); ++i) {
        const halpool_target_info target = halpool_target_at(i);
        if (target.device != HALPOOL_DEVICE_CUDA) continue;
        ++targets;
        EXPECT_FALSE(target.available) << target.name;
        EXPECT_HAS(target.reason, part);
    }
    EXPECT_GT(targets, 0);
    expect_the_cpu_works();
}

// ---- Probing ---------------------------------------------------------------------------------------------------

TEST(CudaProbing, WithoutADriverTheReasonIsTheDynamicLinkers) {
    if (dlopen("libcuda.so.1", RTLD_LAZY)) GTEST_SKIP() << "this machine has a driver";
    with_driver(made_directory("none"), "", [] { expect_unavailable("libcuda.so.1"); });
}

TEST(CudaProbing, ADriverThatCannotBeLoadedIsNotADriver) {
    const std::string directory = made_directory("broken");
    for (const char *name : {"/libcuda.so.1", "/libcuda.so"}) std::ofstream(directory + name) << "not a library";
    with_driver(directory, "", [] { expect_unavailable("libcuda.so.1"); });
}

TEST(CudaProbing, ADriverThatLacksAFunctionIsTooOld) {
    with_driver(kOldFakeDriver, "", [] {
        expect_unavailable("the NVIDIA driver is too old: its libcuda has no cu");
        EXPECT_EQ(fake().calls().count("cuInit"), 0u);
    });
}

TEST(CudaProbing, ADriverThatSeesNoDeviceSaysSoWithItsNameForIt) {
    with_driver(kFakeDriver, "cuInit=100", [] {
        expect_unavailable("CUDA_ERROR_NO_DEVICE (100: the fake driver's words)");
        expect_unavailable("the driver sees no device");
    });
}

TEST(CudaProbing, ADriverThatDoesNotMatchItsKernelModuleIsNamed) {
    with_driver(kFakeDriver, "cuInit=803", [] { expect_unavailable("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803"); });
}

TEST(CudaProbing, AnErrorWithoutANameHasItsNumber) {
    with_driver(kFakeDriver, "cuInit=998", [] { expect_unavailable("(998: unknown to this driver)"); });
}

TEST(CudaProbing, NoVisibleDeviceIsNoDevice) {
    with_driver(kFakeDriver, "devices=0", [] { expect_unavailable("CUDA_VISIBLE_DEVICES"); });
}

TEST(CudaProbing, AFailureWhileADeviceIsReadIsNamed) {
    with_driver(kFakeDriver, "cuDeviceGetAttribute=719",
                [] { expect_unavailable("cuDeviceGetAttribute: CUDA_ERROR_LAUNCH_FAILED (719"); });
}

TEST(CudaProbing, TheDeviceIsDescribed) {
    with_driver(kFakeDriver, "version=12040", [] {
        EXPECT_TRUE(cuda_device().available);
        EXPECT_STREQ(cuda_device().reason, "Fake GPU, compute capability 9.0, driver for CUDA 12.4");
        EXPECT_EQ(fake().calls()["cuInit"], 1) << "it was found out once";
        EXPECT_EQ(fake().calls().count("cuDevicePrimaryCtxRetain"), 0u) << "asking takes no memory of the device";
    });
    with_driver(kFakeDriver, "devices=8", [] {
        EXPECT_STREQ(cuda_device().reason, "8 x Fake GPU, compute capability 9.0, driver for CUDA 13.0");
    });
}

TEST(CudaProbing, EachTargetSaysWhatADeviceLacksForIt) {
    with_driver(kFakeDriver, "capability=30", [] {
        EXPECT_TRUE(cuda_device().available);
        const PlanAttempt plan = plan_on(HALPOOL_DEVICE_CUDA);
        EXPECT_EQ(plan.status, HALPOOL_ERROR_UNSUPPORTED);
        EXPECT_HAS(plan.error.message, "compute_capability_");
        expect_the_cpu_works();
    });
    with_driver(kFakeDriver, "version=6050", [] {
        const PlanAttempt plan = plan_on(HALPOOL_DEVICE_CUDA);
        EXPECT_EQ(plan.status, HALPOOL_ERROR_UNSUPPORTED);
        EXPECT_HAS(plan.error.message, "cuda_driver_");
    });
}

TEST(CudaProbing, TargetsAreAvailableFromTheirCapabilityOn) {
    for (const char *settings : {"capability=75", "capability=80", "capability=120"}) {
        with_driver(kFakeDriver, settings, [capability = std::atoi(settings + std::strlen("capability="))] {
            int seen = 0;
            for (std::size_t i = 0; i < halpool_target_count(); ++i) {
                const halpool_target_info target = halpool_target_at(i);
                if (std::strncmp(target.name, "cuda-sm", 7) != 0) continue;
                ++seen;
                EXPECT_EQ(target.available != 0, capability >= std::atoi(target.name + 7))
                    << target.name << ": " << target.reason;
            }
            EXPECT_GT(seen, 0);
        });
    }
}

TEST(CudaProbing, FeaturesAreReadFromTheirNames) {
    with_driver(kFakeDriver, "capability=86 version=12040", [] {
        for (const char *name : {"compute_capability_5.0", "compute_capability_8.0", "compute_capability_8.6",
                                 "cuda_driver_11.0", "cuda_driver_12.3", "cuda_driver_12.4"})
            EXPECT_TRUE(halpool_device_cuda.has_feature(name)) << name;
        for (const char *name :
             {"compute_capability_8.7", "compute_capability_9.0", "compute_capability_10.0", "cuda_driver_12.5",
              "cuda_driver_13.0", "compute_capability_8", "compute_capability_8.0x", "cuda_driver_", "avx2", ""})
            EXPECT_FALSE(halpool_device_cuda.has_feature(name)) << name;
    });
    with_driver(kFakeDriver, "cuInit=100",
                [] { EXPECT_FALSE(halpool_device_cuda.has_feature("compute_capability_5.0")); });
}

TEST(CudaProbing, LimitsAreTheDevices) {
    with_driver(kFakeDriver, "", [] {
        const halpool::DeviceLimits limits = halpool_device_cuda.limits();
        EXPECT_EQ(limits.blocks, 2147483647u);
        EXPECT_EQ(limits.threads, 1024u);
        EXPECT_EQ(limits.shared_bytes, 49152u);
    });
}

// ---- Programs that do not use CUDA -----------------------------------------------------------------------------

TEST(CudaProbing, PoolingOfHostMemoryNeitherLoadsNorStartsADriver) {
    with_driver(kFakeDriver, "", [] {
        expect_the_cpu_works();
        EXPECT_EQ(plan_on(HALPOOL_DEVICE_CPU).status, HALPOOL_OK);
        EXPECT_EQ(plan_on(HALPOOL_DEVICE_AUTO, &kProblem).status, HALPOOL_OK);
        EXPECT_EQ(dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD), nullptr) << "halpool loaded the driver";
        fake();  // loads it
        expect_the_cpu_works();
        EXPECT_EQ(plan_on(HALPOOL_DEVICE_AUTO, &kProblem).status, HALPOOL_OK);
        EXPECT_EQ(fake().calls().count("cuInit"), 0u);
        caller_starts_cuda();
        expect_the_cpu_works();
        EXPECT_EQ(fake().calls().count("cuDeviceGetCount"), 0u);
    });
}

// ---- Launches --------------------------------------------------------------------------------------------------

// The plan, tensors in the first device's memory, and a context and stream of the caller's.
struct Caller {
    PlanAttempt plan = cuda_plan();
    void *primary = fake().primary_context(0);
    void *input = fake().allocate(FakeMemory::device, primary, kInputBytes);
    void *output = fake().allocate(FakeMemory::device, primary, kOutputBytes);

    void expect_refused(const void *in, void *out, const std::string &part, void *stream = nullptr) const {
        const std::size_t launches = fake().launches().size();
        void *const context = fake().current_context();
        const Outcome outcome = execute(plan, in, out, stream);
        EXPECT_EQ(outcome.status, HALPOOL_ERROR_INVALID_ARGUMENT) << outcome.message;
        EXPECT_HAS(outcome.message, part);
        EXPECT_EQ(fake().launches().size(), launches);
        EXPECT_EQ(fake().current_context(), context);
    }
    void *allocate(FakeMemory kind, void *context) const { return fake().allocate(kind, context, kInputBytes); }
};

TEST(CudaLaunch, RunsOnTheCallersStreamInThePrimaryContextAndLeavesTheCallersContextCurrent) {
    with_driver(kFakeDriver, "", [] {
        const Caller caller;
        void *const stream = fake().create_stream(caller.primary);
        void *const own_context = fake().create_context(0);
        for (void *context : {static_cast<void *>(nullptr), caller.primary, own_context}) {
            fake().make_current(context);
            const Outcome outcome = execute(caller.plan, caller.input, caller.output, stream);
            ASSERT_EQ(outcome.status, HALPOOL_OK) << outcome.message;
            EXPECT_EQ(fake().current_context(), context);
        }
        ASSERT_EQ(fake().launches().size(), 3u);
        for (const FakeLaunch &launch : fake().launches()) {
            EXPECT_EQ(launch.context, caller.primary);
            EXPECT_EQ(launch.stream, stream);
        }
        EXPECT_EQ(execute(caller.plan, caller.input, caller.output).status, HALPOOL_OK);
        EXPECT_EQ(fake().launches().back().stream, nullptr);
    });
}

TEST(CudaLaunch, TheKernelGetsTheCallersPointers) {
    with_driver(kFakeDriver, "", [] {
        const Caller caller;
        ASSERT_EQ(execute(caller.plan, caller.input, caller.output).status, HALPOOL_OK);
        const FakeLaunch launch = fake().launches().at(0);
        const auto count = [&](const void *pointer) {
            return std::count(launch.parameters.begin(), launch.parameters.end(),
                              reinterpret_cast<std::uint64_t>(pointer));
        };
        EXPECT_EQ(count(caller.input), 1);
        EXPECT_EQ(count(caller.output), 1);
        EXPECT_GE(launch.threads[0] * launch.threads[1] * launch.threads[2], 1u);
    });
}

TEST(CudaLaunch, ExecuteDoesNothingButLookAtThePointersAndLaunch) {
    with_driver(kFakeDriver, "", [] {
        const Caller caller;
        fake().forget_calls();
        ASSERT_EQ(execute(caller.plan, caller.input, caller.output).status, HALPOOL_OK);
        const std::map<std::string, int> expected = {{"cuPointerGetAttributes", 2},
                                                     {"cuCtxPushCurrent_v2", 1},
                                                     {"cuLaunchKernel", 1},
                                                     {"cuCtxPopCurrent_v2", 1}};
        EXPECT_EQ(fake().calls(), expected);
    });
}

TEST(CudaLaunch, TheCodeIsLoadedWhenThePlanIsMadeAndOnce) {
    with_driver(kFakeDriver, "", [] {
        const Caller caller;
        const int loaded = fake().calls()["cuModuleLoadDataEx"];
        EXPECT_GE(loaded, 1);
        EXPECT_TRUE(fake().launches().empty());
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&] {
                const PlanAttempt plan = cuda_plan();
                for (int k = 0; k < 8; ++k)
                    EXPECT_EQ(execute(plan, caller.input, caller.output).status, HALPOOL_OK);
            });
        }
        for (std::thread &thread : threads) thread.join();
        EXPECT_EQ(fake().launches().size(), 32u);
        EXPECT_EQ(fake().calls()["cuModuleLoadDataEx"], loaded);
        EXPECT_EQ(fake().calls()["cuDevicePrimaryCtxRetain"], 1);
    });
}

TEST(CudaLaunch, WhatACaptureForbidsIsDoneOutsideIt) {
    with_driver(kFakeDriver, "devices=2 capturing=1", [] {
        const Caller caller;
        EXPECT_EQ(execute(caller.plan, caller.input, caller.output).status, HALPOOL_OK);
        void *const second = fake().primary_context(1);
        const Outcome outcome = execute(caller.plan, caller.allocate(FakeMemory::device, second),
                                        caller.allocate(FakeMemory::device, second));
        EXPECT_EQ(outcome.status, HALPOOL_OK) << outcome.message;
        void *context = nullptr;
        EXPECT_EQ(driver_function<int (*)(void **, int)>("cuDevicePrimaryCtxRetain")(&context, 0), 900)
            << "the thread is not back in its capture";
    });
}

TEST(CudaLaunch, TheFirstUseOfAllByManyThreadsAtOnceWorks) {
    with_driver(kFakeDriver, "milliseconds=20", [] {
        std::atomic<int> waiting{4};
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&] {
                for (--waiting; waiting != 0;) std::this_thread::yield();
                cuda_plan();
            });
        }
        for (std::thread &thread : threads) thread.join();
        EXPECT_EQ(fake().calls()["cuInit"], 1);
        EXPECT_EQ(fake().calls()["cuDevicePrimaryCtxRetain"], 1);
    });
}

TEST(CudaLaunch, APlanIsMadeForTheDeviceOfTheCurrentContext) {
    with_driver(kFakeDriver, "devices=2", [] {
        fake().make_current(fake().create_context(1));
        cuda_plan();
        EXPECT_EQ(fake().calls()["cuModuleLoadDataEx"], fake().calls()["cuModuleGetFunction"]);
        const int loaded = fake().calls()["cuModuleLoadDataEx"];
        void *const second = fake().primary_context(1);
        void *const input = fake().allocate(FakeMemory::device, second, kInputBytes);
        void *const output = fake().allocate(FakeMemory::device, second, kOutputBytes);
        ASSERT_EQ(execute(cuda_plan(), input, output).status, HALPOOL_OK);
        EXPECT_EQ(fake().launches().at(0).context, second);
        EXPECT_EQ(fake().calls()["cuModuleLoadDataEx"], loaded) << "it was loaded on that device already";
    });
}

TEST(CudaLaunch, OtherDevicesThanThePlansAreTakenAndLoadTheCodeThere) {
    with_driver(kFakeDriver, "devices=2", [] {
        const Caller caller;
        void *const second = fake().primary_context(1);
        void *const input = caller.allocate(FakeMemory::device, second);
        void *const output = caller.allocate(FakeMemory::device, second);
        const Outcome outcome = execute(caller.plan, input, output);
        ASSERT_EQ(outcome.status, HALPOOL_OK) << outcome.message;
        EXPECT_EQ(fake().launches().at(0).context, second);
    });
}

TEST(CudaLaunch, ManagedAndMappedMemoryGoWithTheOtherTensorsDevice) {
    with_driver(kFakeDriver, "devices=2", [] {
        const Caller caller;
        void *const second = fake().primary_context(1);
        void *const on_second = caller.allocate(FakeMemory::device, second);
        for (FakeMemory kind : {FakeMemory::managed, FakeMemory::mapped}) {
            void *const everywhere = caller.allocate(kind, caller.primary);
            EXPECT_EQ(execute(caller.plan, everywhere, on_second).status, HALPOOL_OK);
            EXPECT_EQ(fake().launches().back().context, second);
            EXPECT_EQ(execute(caller.plan, on_second, everywhere).status, HALPOOL_OK);
            EXPECT_EQ(fake().launches().back().context, second);
            fake().make_current(second);
            void *const everywhere_too = caller.allocate(kind, caller.primary);
            EXPECT_EQ(execute(caller.plan, everywhere, everywhere_too).status, HALPOOL_OK);
            EXPECT_EQ(fake().launches().back().context, second);
            EXPECT_EQ(fake().current_context(), second);
            fake().make_current(nullptr);
        }
    });
}

TEST(CudaLaunch, CudaPointersArePooledOnCudaWithoutBeingAskedTo) {
    with_driver(kFakeDriver, "", [] {
        caller_starts_cuda();
        void *const primary = fake().primary_context(0);
        void *const input = fake().allocate(FakeMemory::device, primary, kInputBytes);
        for (FakeMemory kind : {FakeMemory::device, FakeMemory::managed}) {
            void *const output = fake().allocate(kind, primary, kOutputBytes);
            const PlanAttempt plan = plan_on(HALPOOL_DEVICE_AUTO, output);
            ASSERT_EQ(plan.status, HALPOOL_OK) << plan.error.message;
            EXPECT_EQ(halpool_plan_device(plan.plan.get()), HALPOOL_DEVICE_CUDA);
            const halpool_avg_pool2d_options options = kProblem.c_options();
            const StridedLayout in = planar({1, 4, 8, 8}), out = planar({1, 4, 4, 4});
            const halpool_tensor_desc in_desc = in.desc(), out_desc = out.desc();
            const std::size_t launches = fake().launches().size();
            EXPECT_EQ(halpool_avg_pool2d(&options, &in_desc, input, &out_desc, output, nullptr), HALPOOL_OK);
            EXPECT_EQ(fake().launches().size(), launches + 1);
        }
    });
}

// ---- Refused before anything is launched -----------------------------------------------------------------------

TEST(CudaLaunch, DataThatIsNotAlignedTo16BytesRunsAKernelThatNeedsNoAlignment) {
    with_driver(kFakeDriver, "", [] {
        const Caller caller;
        const Problem problem{{1, 64, 32, 32}, {2}};
        const PlanAttempt made = make_plan(problem, channels_last(problem.input_shape), channels_last({1, 64, 16, 16}), nullptr,
                                           nullptr, HALPOOL_DEVICE_CUDA);
        ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
        const std::string kernel = halpool_plan_kernel(made.plan.get());
        ASSERT_NE(kernel.find("-a16_"), std::string::npos) << kernel;
        auto *const input = static_cast<char *>(fake().allocate(FakeMemory::device, caller.primary, 64 * 32 * 32 * 4 + 16));
        auto *const output = static_cast<char *>(fake().allocate(FakeMemory::device, caller.primary, 64 * 16 * 16 * 4 + 16));
        const auto blocks_at = [&](std::size_t input_offset, std::size_t output_offset) {
            const Outcome outcome = execute(made, input + input_offset, output + output_offset);
            EXPECT_EQ(outcome.status, HALPOOL_OK) << outcome.message;
            return fake().launches().back().blocks[0];
        };
        // A thread of the aligned kernel computes 4 elements, of the other 2.
        const unsigned int aligned = blocks_at(0, 0);
        EXPECT_EQ(blocks_at(16, 16), aligned);
        for (const std::size_t offset : {4, 8, 12}) {
            EXPECT_EQ(blocks_at(offset, 0), 2 * aligned);
            EXPECT_EQ(blocks_at(0, offset), 2 * aligned);
        }
    });
}

TEST(CudaLaunch, RefusesHostPointers) {
    with_driver(kFakeDriver, "", [] {
        const Caller caller;
        alignas(64) float host[kInputBytes / sizeof(float)] = {};
        caller.expect_refused(host, caller.output, "the input's pointer");
        caller.expect_refused(caller.input, host, "the output's pointer");
    });
}

TEST(CudaLaunch, RefusesMemoryThatIsTooSmall) {
    with_driver(kFakeDriver, "", [] {
        const Caller caller;
        void *const small = fake().allocate(FakeMemory::device, caller.primary, kInputBytes - 4);
        caller.expect_refused(small, caller.output, "the input needs 1024 bytes from offset 0");
        caller.expect_refused(caller.input, static_cast<char *>(caller.output) + 64,
                              "the output needs 256 bytes from offset 64 of its memory, which has 256");
    });
}

TEST(CudaLaunch, RefusesTensorsOnTwoDevices) {
    with_driver(kFakeDriver, "devices=2", [] {
        const Caller caller;
        void *const elsewhere = caller.allocate(FakeMemory::device, fake().primary_context(1));
        caller.expect_refused(caller.input, elsewhere, "the input is on CUDA device 0 and the output on device 1");
        caller.expect_refused(elsewhere, caller.output,
                              "the input is on CUDA device 1 and the output on device 0");
    });
}

TEST(CudaLaunch, RefusesMemoryOfAnotherContext) {
    with_driver(kFakeDriver, "", [] {
        const Caller caller;
        void *const foreign = caller.allocate(FakeMemory::device, fake().create_context(0));
        caller.expect_refused(foreign, caller.output, "other than the primary context");
    });
}

TEST(CudaLaunch, RefusesRegisteredMemoryThatTheDeviceSeesElsewhere) {
    with_driver(kFakeDriver, "", [] {
        const Caller caller;
        void *const remapped = caller.allocate(FakeMemory::remapped, caller.primary);
        caller.expect_refused(remapped, caller.output, "the device does not see at that address");
    });
}

TEST(CudaLaunch, RefusesAStreamOfAnotherContext) {
    with_driver(kFakeDriver, "", [] {
        const Caller caller;
        void *const stream = fake().create_stream(fake().create_context(0));
        caller.expect_refused(caller.input, caller.output, "the stream must be a live one", stream);
    });
}

TEST(CudaLaunch, RefusesBlocksThatTheKernelsRegistersDoNotAllow) {
    with_driver(kFakeDriver, "threads=1", [] {
        const PlanAttempt plan = plan_on(HALPOOL_DEVICE_CUDA);
        EXPECT_EQ(plan.status, HALPOOL_ERROR_UNSUPPORTED);
        EXPECT_HAS(plan.error.message, "threads; device 0 takes 1 of this kernel");
    });
}

// ---- Drivers and devices that fail -----------------------------------------------------------------------------

TEST(CudaFailure, ADriverThatCannotCompileTheKernelIsToBeUpdated) {
    with_driver(kFakeDriver, "cuModuleLoadDataEx=222", [] {
        const PlanAttempt plan = plan_on(HALPOOL_DEVICE_CUDA);
        EXPECT_EQ(plan.status, HALPOOL_ERROR_UNSUPPORTED);
        EXPECT_HAS(plan.error.message, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION (222");
        EXPECT_HAS(plan.error.message, "update the NVIDIA driver");
        EXPECT_HAS(plan.error.message, "the fake compiler's log");
        EXPECT_TRUE(fake().launches().empty());
        now("");
        EXPECT_EQ(plan_on(HALPOOL_DEVICE_CUDA).status, HALPOOL_OK) << "the failure was not kept";
    });
}

TEST(CudaFailure, EachCallThatCanFailGivesAStatusAndTheDriversName) {
    for (const char *function : {"cuDevicePrimaryCtxRetain", "cuCtxPushCurrent_v2", "cuModuleLoadDataEx",
                                 "cuModuleGetFunction", "cuFuncLoad", "cuFuncGetAttribute"}) {
        with_driver(kFakeDriver, std::string(function) + "=719", [function] {
            const PlanAttempt plan = plan_on(HALPOOL_DEVICE_CUDA);
            EXPECT_EQ(plan.status, HALPOOL_ERROR_DEVICE) << function;
            EXPECT_HAS(plan.error.message, "CUDA_ERROR_LAUNCH_FAILED (719: the fake driver's words)");
            EXPECT_EQ(fake().current_context(), nullptr);
        });
    }
}

TEST(CudaFailure, AGpuLostInTheMiddleGivesAStatusAndTheDriversName) {
    with_driver(kFakeDriver, "", [] {
        const Caller caller;
        void *const own_context = fake().create_context(0);
        fake().make_current(own_context);
        ASSERT_EQ(execute(caller.plan, caller.input, caller.output).status, HALPOOL_OK);
        for (const char *function : {"cuLaunchKernel", "cuPointerGetAttributes", "cuCtxPushCurrent_v2"}) {
            now(std::string(function) + "=719");
            const Outcome outcome = execute(caller.plan, caller.input, caller.output);
            EXPECT_EQ(outcome.status, HALPOOL_ERROR_DEVICE) << function;
            EXPECT_HAS(outcome.message, "CUDA_ERROR_LAUNCH_FAILED (719");
            EXPECT_HAS(outcome.message, "the process must restart");
            EXPECT_EQ(fake().current_context(), own_context);
        }
        EXPECT_EQ(fake().launches().size(), 1u);
        now("");
        EXPECT_EQ(execute(caller.plan, caller.input, caller.output).status, HALPOOL_OK);
    });
}

TEST(CudaFailure, AProcessForkedAfterUseGetsAnErrorAndOneForkedBeforeItWorks) {
    const auto in_fork = [](auto body) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(30);  // a hang would be the fault that this is about
            _exit(exit_code_of(body));
        }
        int status = -1;
        EXPECT_EQ(waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    };
    with_driver(kFakeDriver, "", [&] {
        in_fork([] {
            const Caller caller;
            EXPECT_EQ(execute(caller.plan, caller.input, caller.output).status, HALPOOL_OK);
        });
        const Caller caller;
        halpool_memory *memory = nullptr;
        ASSERT_EQ(halpool_memory_create(HALPOOL_DEVICE_CUDA, 64, &memory, nullptr), HALPOOL_OK);
        in_fork([&] {
            fake().forget_calls();
            const Outcome outcome = execute(caller.plan, caller.input, caller.output);
            EXPECT_EQ(outcome.status, HALPOOL_ERROR_UNSUPPORTED);
            EXPECT_HAS(outcome.message, "forked");
            expect_unavailable("forked");
            float value = 0;
            EXPECT_EQ(halpool_memory_download(memory, 0, &value, sizeof value, nullptr),
                      HALPOOL_ERROR_UNSUPPORTED);
            halpool_memory_destroy(memory);
            EXPECT_TRUE(fake().calls().empty()) << "the driver was called in the forked process";
        });
        EXPECT_EQ(execute(caller.plan, caller.input, caller.output).status, HALPOOL_OK);
        halpool_memory_destroy(memory);
    });
}

// ---- Memory ----------------------------------------------------------------------------------------------------

TEST(CudaMemory, HoldsWhatWasUploadedAndRefusesWhatLiesOutside) {
    with_driver(kFakeDriver, "", [] {
        halpool_memory *memory = nullptr;
        ASSERT_EQ(halpool_memory_create(HALPOOL_DEVICE_CUDA, 64, &memory, nullptr), HALPOOL_OK);
        EXPECT_NE(halpool_memory_pointer(memory), nullptr);
        EXPECT_EQ(halpool_memory_size(memory), 64u);
        const std::vector<std::uint8_t> bytes = {1, 2, 3, 4};
        std::vector<std::uint8_t> back(4);
        EXPECT_EQ(halpool_memory_upload(memory, 60, bytes.data(), 4, nullptr), HALPOOL_OK);
        EXPECT_EQ(halpool_memory_download(memory, 60, back.data(), 4, nullptr), HALPOOL_OK);
        EXPECT_EQ(back, bytes);
        for (std::size_t offset : {std::size_t{61}, std::size_t{65}, SIZE_MAX - 1}) {
            EXPECT_EQ(halpool_memory_upload(memory, offset, bytes.data(), 4, nullptr),
                      HALPOOL_ERROR_INVALID_ARGUMENT);
            EXPECT_EQ(halpool_memory_download(memory, offset, back.data(), 4, nullptr),
                      HALPOOL_ERROR_INVALID_ARGUMENT);
        }
        EXPECT_EQ(fake().current_context(), nullptr);
        halpool_memory_destroy(memory);
        EXPECT_EQ(fake().calls()["cuMemFree_v2"], 1);
    });
}

TEST(CudaMemory, TheDeviceItselfRefusesWhatLiesOutside) {
    with_driver(kFakeDriver, "", [] {
        const halpool::DeviceApi &cuda = halpool_device_cuda;
        halpool::DeviceMemory *memory = nullptr;
        ASSERT_EQ(cuda.create_memory(64, &memory, nullptr), HALPOOL_OK);
        char bytes[4] = {};
        for (std::size_t offset : {std::size_t{61}, std::size_t{65}, SIZE_MAX - 1}) {
            EXPECT_EQ(cuda.upload(memory, offset, bytes, 4, nullptr), HALPOOL_ERROR_INVALID_ARGUMENT);
            EXPECT_EQ(cuda.download(memory, offset, bytes, 4, nullptr), HALPOOL_ERROR_INVALID_ARGUMENT);
        }
        cuda.destroy_memory(memory);
    });
}

TEST(CudaMemory, AnExecutionOnMemoryTakesOffsetsAndCopiesNothing) {
    with_driver(kFakeDriver, "", [] {
        const PlanAttempt plan = cuda_plan();
        halpool_memory *memory = nullptr;
        ASSERT_EQ(halpool_memory_create(HALPOOL_DEVICE_CUDA, kInputBytes + kOutputBytes, &memory, nullptr),
                  HALPOOL_OK);
        fake().forget_calls();
        halpool_error error{};
        EXPECT_EQ(halpool_plan_execute_memory(plan.plan.get(), memory, 0, memory, kInputBytes, nullptr, &error),
                  HALPOOL_OK)
            << error.message;
        const std::map<std::string, int> expected = {
            {"cuCtxPushCurrent_v2", 1}, {"cuLaunchKernel", 1}, {"cuCtxPopCurrent_v2", 1}};
        EXPECT_EQ(fake().calls(), expected);
        const std::vector<std::uint64_t> parameters = fake().launches().at(0).parameters;
        const auto output = reinterpret_cast<std::uint64_t>(halpool_memory_pointer(memory)) + kInputBytes;
        EXPECT_EQ(std::count(parameters.begin(), parameters.end(), output), 1);
        halpool_memory_destroy(memory);
    });
}

TEST(CudaMemory, ADeviceThatIsFullSaysSo) {
    with_driver(kFakeDriver, "cuMemAlloc_v2=2", [] {
        halpool_memory *memory = nullptr;
        halpool_error error{};
        EXPECT_EQ(halpool_memory_create(HALPOOL_DEVICE_CUDA, 64, &memory, &error), HALPOOL_ERROR_OUT_OF_MEMORY);
        EXPECT_HAS(error.message, "CUDA_ERROR_OUT_OF_MEMORY (2");
        EXPECT_EQ(memory, nullptr);
        EXPECT_EQ(fake().current_context(), nullptr);
    });
}

TEST(CudaMemory, NothingIsAPlaceTooAndDestroyingAfterALostDeviceIsHarmless) {
    with_driver(kFakeDriver, "", [] {
        halpool_memory *memory = nullptr;
        ASSERT_EQ(halpool_memory_create(HALPOOL_DEVICE_CUDA, 0, &memory, nullptr), HALPOOL_OK);
        EXPECT_EQ(halpool_memory_upload(memory, 0, nullptr, 0, nullptr), HALPOOL_OK);
        now("cuMemFree_v2=719 cuCtxPushCurrent_v2=719");
        halpool_memory_destroy(memory);
    });
}

}  // namespace
}  // namespace halpool_test
