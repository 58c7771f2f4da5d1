// halpool_memory, and plans executed on it, on every device that the program links.
#include "canary_output.hpp"
#include "guarded_execution.hpp"
#include "kernels_under_test.hpp"
#include "oracle.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <numeric>
#include <thread>

namespace halpool_test {
namespace {

constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();

std::vector<halpool_device_info> linked(std::int32_t device) {
    std::vector<halpool_device_info> all;
    for (std::size_t i = 0; i < halpool_device_count(); ++i)
        if (halpool_device_at(i).device == device) all.push_back(halpool_device_at(i));
    return all;
}

class OnEveryDevice : public ::testing::TestWithParam<halpool_device_info> {
protected:
    void SetUp() override {
        if (!GetParam().available) GTEST_SKIP() << GetParam().name << ": " << GetParam().reason;
    }
    std::int32_t device() const { return GetParam().device; }

    MemoryPtr create(std::size_t bytes) const { return create_on(device(), bytes); }
    static MemoryPtr create_on(std::int32_t device, std::size_t bytes) {
        halpool_memory *memory = nullptr;
        halpool_error error;
        EXPECT_EQ(halpool_memory_create(device, bytes, &memory, &error), HALPOOL_OK) << error.message;
        return MemoryPtr(memory);
    }
    static MemoryPtr create_from(std::int32_t device, const std::vector<float> &values) {
        MemoryPtr memory = create_on(device, values.size() * sizeof(float));
        halpool_error error;
        EXPECT_EQ(halpool_memory_upload(memory.get(), 0, values.data(), values.size() * sizeof(float), &error),
                  HALPOOL_OK)
            << error.message;
        return memory;
    }
    static std::vector<float> floats_of(const halpool_memory *memory) {
        std::vector<float> values(halpool_memory_size(memory) / sizeof(float));
        halpool_error error;
        EXPECT_EQ(halpool_memory_download(memory, 0, values.data(), values.size() * sizeof(float), &error),
                  HALPOOL_OK)
            << error.message;
        return values;
    }
};

// Runs `call(error)` with and without an error structure.
template <class Call>
void expect_refused(Call call, const std::string &word, halpool_status status = HALPOOL_ERROR_INVALID_ARGUMENT) {
    halpool_error error;
    error.message[0] = '\0';
    EXPECT_EQ(call(&error), status) << error.message;
    EXPECT_EQ(error.status, status);
    EXPECT_NE(std::string(error.message).find(word), std::string::npos) << error.message << " lacks: " << word;
    EXPECT_EQ(call(nullptr), status);
}

#define HALPOOL_TEST_EVERY_DEVICE(suite)                                                                             \
    INSTANTIATE_TEST_SUITE_P(Cpu, suite, ::testing::ValuesIn(linked(HALPOOL_DEVICE_CPU)));                           \
    INSTANTIATE_TEST_SUITE_P(Cuda, suite, ::testing::ValuesIn(linked(HALPOOL_DEVICE_CUDA)));                         \
    INSTANTIATE_TEST_SUITE_P(Vulkan, suite, ::testing::ValuesIn(linked(HALPOOL_DEVICE_VULKAN)))

}  // namespace
}  // namespace halpool_test

// In the structure's own namespace, where gtest looks for it.
inline void PrintTo(const halpool_device_info &info, std::ostream *out) { *out << info.name; }

namespace halpool_test {
namespace {

// ---- Memory ---------------------------------------------------------------------------------------------------

using Memory = OnEveryDevice;

TEST_P(Memory, HoldsWhatWasUploadedAnywhereInIt) {
    const MemoryPtr memory = create(100001);
    std::vector<unsigned char> want(100001, 7), got(100001);
    halpool_error error;
    ASSERT_EQ(halpool_memory_upload(memory.get(), 0, want.data(), want.size(), &error), HALPOOL_OK)
        << error.message;
    for (const auto &[offset, bytes] :
         {std::pair<std::size_t, std::size_t>{0, 1}, {1, 3}, {99997, 4}, {513, 4099}}) {
        for (std::size_t i = 0; i < bytes; ++i) want[offset + i] = static_cast<unsigned char>(offset + 31 * i);
        ASSERT_EQ(halpool_memory_upload(memory.get(), offset, want.data() + offset, bytes, &error), HALPOOL_OK)
            << error.message;
        std::vector<unsigned char> part(bytes);
        ASSERT_EQ(halpool_memory_download(memory.get(), offset, part.data(), bytes, &error), HALPOOL_OK)
            << error.message;
        EXPECT_TRUE(std::equal(part.begin(), part.end(), want.begin() + static_cast<std::ptrdiff_t>(offset)));
    }
    ASSERT_EQ(halpool_memory_download(memory.get(), 0, got.data(), got.size(), &error), HALPOOL_OK)
        << error.message;
    EXPECT_TRUE(got == want);
}

TEST_P(Memory, KnowsItsSizeDeviceAndPointer) {
    const MemoryPtr memory = create(1000);
    EXPECT_EQ(halpool_memory_size(memory.get()), 1000u);
    EXPECT_EQ(halpool_memory_device(memory.get()), device());
    EXPECT_EQ(halpool_memory_pointer(memory.get()) != nullptr, device() != HALPOOL_DEVICE_VULKAN);
}

TEST_P(Memory, OfNoBytesIsAllowed) {
    const MemoryPtr memory = create(0);
    ASSERT_NE(memory, nullptr);
    EXPECT_EQ(halpool_memory_size(memory.get()), 0u);
    EXPECT_EQ(halpool_memory_device(memory.get()), device());
    char byte = 42;
    EXPECT_EQ(halpool_memory_upload(memory.get(), 0, nullptr, 0, nullptr), HALPOOL_OK);
    EXPECT_EQ(halpool_memory_download(memory.get(), 0, nullptr, 0, nullptr), HALPOOL_OK);
    EXPECT_EQ(halpool_memory_download(memory.get(), 0, &byte, 1, nullptr), HALPOOL_ERROR_INVALID_ARGUMENT);
    EXPECT_EQ(byte, 42);
}

TEST_P(Memory, CopiesOfNoBytesNeedNoPointerButAnOffsetInside) {
    const MemoryPtr memory = create(64);
    EXPECT_EQ(halpool_memory_upload(memory.get(), 64, nullptr, 0, nullptr), HALPOOL_OK);
    EXPECT_EQ(halpool_memory_download(memory.get(), 64, nullptr, 0, nullptr), HALPOOL_OK);
    expect_refused([&](halpool_error *e) { return halpool_memory_upload(memory.get(), 65, nullptr, 0, e); }, "65");
    expect_refused([&](halpool_error *e) { return halpool_memory_download(memory.get(), kMost, nullptr, 0, e); },
                   std::to_string(kMost));
}

TEST_P(Memory, CopiesThatLeaveItAreRefusedAndWriteNothing) {
    const MemoryPtr memory = create_from(device(), std::vector<float>(16, 3.0f));
    std::vector<float> host(64, -1.0f);
    for (const auto &[offset, bytes] : {std::pair<std::size_t, std::size_t>{0, 65}, {64, 1}, {63, 2}, {65, 1},
                                        {kMost, 1}, {kMost, kMost}, {kMost - 3, 4}, {4, kMost - 3}, {0, kMost}}) {
        SCOPED_TRACE(::testing::Message() << bytes << " bytes at " << offset);
        expect_refused(
            [&, o = offset, b = bytes](halpool_error *e) {
                return halpool_memory_upload(memory.get(), o, host.data(), b, e);
            },
            "64");
        expect_refused(
            [&, o = offset, b = bytes](halpool_error *e) {
                return halpool_memory_download(memory.get(), o, host.data(), b, e);
            },
            "64");
    }
    EXPECT_EQ(host, std::vector<float>(64, -1.0f));
    EXPECT_EQ(floats_of(memory.get()), std::vector<float>(16, 3.0f));
}

TEST_P(Memory, NullPointersAreRefused) {
    const MemoryPtr memory = create(64);
    char byte = 0;
    expect_refused([&](halpool_error *e) { return halpool_memory_upload(memory.get(), 0, nullptr, 1, e); },
                   "null");
    expect_refused([&](halpool_error *e) { return halpool_memory_download(memory.get(), 0, nullptr, 1, e); },
                   "null");
    expect_refused([&](halpool_error *e) { return halpool_memory_upload(nullptr, 0, &byte, 1, e); }, "null");
    expect_refused([&](halpool_error *e) { return halpool_memory_download(nullptr, 0, &byte, 1, e); }, "null");
    expect_refused([&](halpool_error *e) { return halpool_memory_create(device(), 64, nullptr, e); }, "null");
}

TEST_P(Memory, LargerThanAnyMachineIsRefused) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "sanitizers end the program at such a size";
#endif
    for (const std::size_t bytes :
         {kMost, kMost - 1, kMost - 63, kMost - 64, kMost / 2, kMost / 2 + 1, kMost / 16}) {
        SCOPED_TRACE(bytes);
        const auto call = [&](halpool_error *e) {
            halpool_memory *memory = reinterpret_cast<halpool_memory *>(&e);
            const halpool_status status = halpool_memory_create(device(), bytes, &memory, e);
            EXPECT_EQ(memory, nullptr);
            return status;
        };
        expect_refused(call, "", HALPOOL_ERROR_OUT_OF_MEMORY);
    }
}

TEST_P(Memory, MayBeUsedByManyThreadsAtOnce) {
    constexpr std::size_t kThreads = 8, kBytes = 4096;
    const MemoryPtr memory = create(kThreads * kBytes);
    std::vector<int> failures(kThreads, 0);
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < kThreads; ++t)
        threads.emplace_back([&, t] {
            std::vector<unsigned char> mine(kBytes), back(kBytes);
            for (int round = 0; round < 10; ++round) {
                std::fill(mine.begin(), mine.end(),
                          static_cast<unsigned char>(16 * t + static_cast<std::size_t>(round)));
                failures[t] +=
                    halpool_memory_upload(memory.get(), t * kBytes, mine.data(), kBytes, nullptr) != HALPOOL_OK;
                failures[t] +=
                    halpool_memory_download(memory.get(), t * kBytes, back.data(), kBytes, nullptr) != HALPOOL_OK;
                failures[t] += back != mine;
            }
        });
    for (std::thread &thread : threads) thread.join();
    EXPECT_EQ(failures, std::vector<int>(kThreads, 0));
}

HALPOOL_TEST_EVERY_DEVICE(Memory);

TEST(MemoryOfNoDevice, IsRefused) {
    for (const std::int32_t device :
         {HALPOOL_DEVICE_AUTO + 0, -1, 4, 77, std::numeric_limits<std::int32_t>::max()}) {
        SCOPED_TRACE(device);
        expect_refused(
            [&](halpool_error *e) {
                halpool_memory *memory = nullptr;
                const halpool_status status = halpool_memory_create(device, 64, &memory, e);
                EXPECT_EQ(memory, nullptr);
                return status;
            },
            std::to_string(device));
    }
}

TEST(MemoryOfADeviceThatCannotBeUsed, IsRefusedWithTheReason) {
    int refused = 0;
    for (const std::int32_t device : {HALPOOL_DEVICE_CUDA, HALPOOL_DEVICE_VULKAN}) {
        const std::vector<halpool_device_info> info = linked(device);
        if (!info.empty() && info[0].available) continue;
        expect_refused(
            [&](halpool_error *e) {
                halpool_memory *memory = nullptr;
                const halpool_status status = halpool_memory_create(device, 64, &memory, e);
                EXPECT_EQ(memory, nullptr);
                return status;
            },
            info.empty() ? "HALPOOL_TARGETS" : info[0].reason, HALPOOL_ERROR_UNSUPPORTED);
        ++refused;
    }
    if (refused == 0) GTEST_SKIP() << "every device can be used";
}

TEST(NoMemory, HasNeitherSizeNorDeviceNorPointer) {
    EXPECT_EQ(halpool_memory_size(nullptr), 0u);
    EXPECT_EQ(halpool_memory_device(nullptr), HALPOOL_DEVICE_AUTO);
    EXPECT_EQ(halpool_memory_pointer(nullptr), nullptr);
    halpool_memory_destroy(nullptr);
}

// ---- Execution on memory --------------------------------------------------------------------------------------

class MemoryExecution : public OnEveryDevice {
protected:
    static constexpr std::size_t kInputBytes = 2 * 3 * 6 * 8 * 4, kOutputBytes = 2 * 3 * 3 * 4 * 4;
    const Problem problem_{{2, 3, 6, 8}, {2}};
    const StridedLayout input_layout_ = planar({2, 3, 6, 8}), output_layout_ = planar({2, 3, 3, 4});

    PlanPtr make() const {
        PlanAttempt made = make_plan(problem_, input_layout_, output_layout_, nullptr, nullptr, device());
        EXPECT_EQ(made.status, HALPOOL_OK) << made.error.message;
        EXPECT_EQ(halpool_plan_device(made.plan.get()), device());
        return std::move(made.plan);
    }
    std::vector<float> counting() const {
        std::vector<float> values(input_layout_.count());
        std::iota(values.begin(), values.end(), 1.0f);
        return values;
    }
    std::vector<float> means() const {
        std::vector<float> values;
        for (const Exact &exact : exact_output(problem_, counting()))
            values.push_back(static_cast<float>(exact.value));
        return values;
    }
    std::int32_t another_device() const {
        return device() == HALPOOL_DEVICE_CPU ? HALPOOL_DEVICE_AUTO : HALPOOL_DEVICE_CPU;
    }
};

TEST_P(MemoryExecution, GivesTheMeans) {
    const PlanPtr plan = make();
    const MemoryPtr in = create_from(device(), counting()), out = create(kOutputBytes);
    halpool_error error;
    for (int round = 0; round < 3; ++round)
        ASSERT_EQ(halpool_plan_execute_memory(plan.get(), in.get(), 0, out.get(), 0, nullptr, &error), HALPOOL_OK)
            << error.message;
    EXPECT_EQ(floats_of(out.get()), means());
    EXPECT_EQ(floats_of(in.get()), counting());
}

TEST_P(MemoryExecution, WorksAtMultiplesOf256AndTouchesNothingElse) {
    const PlanPtr plan = make();
    for (const std::size_t offset : {std::size_t{256}, std::size_t{768}, std::size_t{1} << 16}) {
        std::vector<float> values(offset / 4, -5.0f), got(offset / 4 + 100, -6.0f);
        for (const float value : counting()) values.push_back(value);
        const MemoryPtr in = create_from(device(), values), out = create_from(device(), got);
        halpool_error error;
        ASSERT_EQ(halpool_plan_execute_memory(plan.get(), in.get(), offset, out.get(), offset, nullptr, &error),
                  HALPOOL_OK)
            << error.message;
        const std::vector<float> mean = means();
        std::copy(mean.begin(), mean.end(), got.begin() + static_cast<std::ptrdiff_t>(offset / 4));
        EXPECT_EQ(floats_of(out.get()), got);
    }
}

TEST_P(MemoryExecution, TakesBothTensorsInOneMemoryWhereTheyLieApart) {
    const PlanPtr plan = make();
    for (const bool input_first : {true, false}) {
        // Side by side, at multiples of 256: the first ends where the second begins, or in the 256 bytes before.
        const std::size_t input_offset = input_first ? 0 : 512, output_offset = input_first ? 1280 : 0;
        static_assert(kInputBytes <= 1280 && kOutputBytes <= 512, "");
        const MemoryPtr memory = create(2048);
        halpool_error error;
        ASSERT_EQ(halpool_memory_upload(memory.get(), input_offset, counting().data(), kInputBytes, &error),
                  HALPOOL_OK);
        ASSERT_EQ(halpool_plan_execute_memory(plan.get(), memory.get(), input_offset, memory.get(), output_offset,
                                              nullptr, &error),
                  HALPOOL_OK)
            << error.message;
        std::vector<float> got(kOutputBytes / 4);
        ASSERT_EQ(halpool_memory_download(memory.get(), output_offset, got.data(), kOutputBytes, &error),
                  HALPOOL_OK);
        EXPECT_EQ(got, means());
    }
}

TEST_P(MemoryExecution, RefusesTensorsThatOverlap) {
    const PlanPtr plan = make();
    const MemoryPtr memory = create_from(device(), std::vector<float>(1024, 2.0f));
    for (const auto &[input, output] :
         {std::pair<std::size_t, std::size_t>{0, 0}, {0, 256}, {0, 1024}, {256, 0}, {256, 256}})
        expect_refused(
            [&, i = input, o = output](halpool_error *e) {
                return halpool_plan_execute_memory(plan.get(), memory.get(), i, memory.get(), o, nullptr, e);
            },
            "overlap");
    EXPECT_EQ(floats_of(memory.get()), std::vector<float>(1024, 2.0f));
}

TEST_P(MemoryExecution, RefusesTensorsThatLeaveTheirMemory) {
    const PlanPtr plan = make();
    const MemoryPtr in = create(kInputBytes),
                    out = create_from(device(), std::vector<float>(kOutputBytes / 4, 9.0f));
    const MemoryPtr small_in = create(kInputBytes - 4), small_out = create(kOutputBytes - 4), none = create(0);
    const auto refused = [&](const halpool_memory *input, std::size_t input_offset, halpool_memory *output,
                             std::size_t output_offset, const char *side) {
        expect_refused(
            [&](halpool_error *e) {
                return halpool_plan_execute_memory(plan.get(), input, input_offset, output, output_offset, nullptr,
                                                   e);
            },
            side);
    };
    refused(small_in.get(), 0, out.get(), 0, "input");
    refused(none.get(), 0, out.get(), 0, "input");
    refused(in.get(), 0, small_out.get(), 0, "output");
    refused(in.get(), 0, none.get(), 0, "output");
    for (const std::size_t offset :
         {std::size_t{4}, std::size_t{256}, kInputBytes, kInputBytes + 256, kMost - 255, kMost}) {
        refused(in.get(), offset, out.get(), 0, "input");
        refused(in.get(), 0, out.get(), offset, "output");
    }
    EXPECT_EQ(floats_of(out.get()), std::vector<float>(kOutputBytes / 4, 9.0f));
}

TEST_P(MemoryExecution, RefusesOffsetsThatCutAnElement) {
    const PlanPtr plan = make();
    const MemoryPtr in = create(4096), out = create(4096);
    for (const std::size_t offset : {1, 2, 3, 257, 1022}) {
        expect_refused(
            [&](halpool_error *e) {
                return halpool_plan_execute_memory(plan.get(), in.get(), offset, out.get(), 0, nullptr, e);
            },
            "input");
        expect_refused(
            [&](halpool_error *e) {
                return halpool_plan_execute_memory(plan.get(), in.get(), 0, out.get(), offset, nullptr, e);
            },
            "output");
    }
}

// Elements on the edge of alignment: the library takes another kernel, or says what the device needs.
TEST_P(MemoryExecution, AtAnyMultipleOfAnElementWorksOrNamesTheDevicesAlignment) {
    const PlanPtr plan = make();
    for (const std::size_t offset : {4, 8, 12, 16, 20, 32, 64, 100, 128}) {
        std::vector<float> values(offset / 4, -5.0f), before(offset / 4 + kOutputBytes / 4, -6.0f);
        for (const float value : counting()) values.push_back(value);
        for (const bool input : {true, false}) {
            const MemoryPtr in = create_from(device(), input ? values : counting()),
                            out = create_from(device(), before);
            halpool_error error;
            const halpool_status status = halpool_plan_execute_memory(
                plan.get(), in.get(), input ? offset : 0, out.get(), input ? 0 : offset, nullptr, &error);
            const std::vector<float> got = floats_of(out.get());
            if (status != HALPOOL_OK) {
                EXPECT_EQ(device(), HALPOOL_DEVICE_VULKAN);
                EXPECT_EQ(status, HALPOOL_ERROR_INVALID_ARGUMENT);
                EXPECT_NE(std::string(error.message).find("multiple of"), std::string::npos) << error.message;
                EXPECT_EQ(got, before);
                continue;
            }
            std::vector<float> want = before;
            const std::vector<float> mean = means();
            std::copy(mean.begin(), mean.end(),
                      want.begin() + static_cast<std::ptrdiff_t>(input ? 0 : offset / 4));
            EXPECT_EQ(got, want) << offset;
        }
    }
}

TEST_P(MemoryExecution, RefusesMemoryOfAnotherDevice) {
    int refused = 0;
    for (std::size_t i = 0; i < halpool_device_count(); ++i) {
        const halpool_device_info other = halpool_device_at(i);
        if (other.device == device() || !other.available) continue;
        const PlanPtr plan = make();
        const MemoryPtr in = create(kInputBytes), out = create(kOutputBytes);
        const MemoryPtr other_in = create_on(other.device, kInputBytes),
                        other_out = create_on(other.device, kOutputBytes);
        for (const bool input : {true, false})
            expect_refused(
                [&](halpool_error *e) {
                    return halpool_plan_execute_memory(plan.get(), input ? other_in.get() : in.get(), 0,
                                                       input ? out.get() : other_out.get(), 0, nullptr, e);
                },
                std::string(input ? "input" : "output") + "'s memory is " + other.name + " memory");
        ++refused;
    }
    if (refused == 0) GTEST_SKIP() << "no other device is available";
}

TEST_P(MemoryExecution, RefusesNullPointers) {
    const PlanPtr plan = make();
    const MemoryPtr in = create(kInputBytes), out = create(kOutputBytes);
    expect_refused([&](halpool_error *e) {
        return halpool_plan_execute_memory(nullptr, in.get(), 0, out.get(), 0, nullptr, e);
    }, "plan");
    expect_refused([&](halpool_error *e) {
        return halpool_plan_execute_memory(plan.get(), nullptr, 0, out.get(), 0, nullptr, e);
    }, "input");
    expect_refused([&](halpool_error *e) {
        return halpool_plan_execute_memory(plan.get(), in.get(), 0, nullptr, 0, nullptr, e);
    }, "output");
}

TEST_P(MemoryExecution, OfAnEmptyBatchNeedsNoBytes) {
    const Problem empty{{0, 3, 6, 8}, {2}};
    const PlanAttempt made =
        make_plan(empty, planar({0, 3, 6, 8}), planar({0, 3, 3, 4}), nullptr, nullptr, device());
    ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
    EXPECT_EQ(halpool_plan_device(made.plan.get()), device());
    const MemoryPtr in = create(0), out = create(0);
    halpool_error error;
    EXPECT_EQ(halpool_plan_execute_memory(made.plan.get(), in.get(), 0, out.get(), 0, nullptr, &error), HALPOOL_OK)
        << error.message;
}

TEST_P(MemoryExecution, OfOnePlanByManyThreadsGivesEachItsOwnResult) {
    const PlanPtr plan = make();
    constexpr std::size_t kThreads = 6;
    std::vector<int> failures(kThreads, 0);
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < kThreads; ++t)
        threads.emplace_back([&, t] {
            const MemoryPtr in = create(kInputBytes), out = create(kOutputBytes);
            std::vector<float> got(kOutputBytes / 4);
            for (int round = 0; round < 10; ++round) {
                const float value = static_cast<float>(10 * t + static_cast<std::size_t>(round));
                const std::vector<float> values(kInputBytes / 4, value);
                bool good = halpool_memory_upload(in.get(), 0, values.data(), kInputBytes, nullptr) == HALPOOL_OK;
                good = good && halpool_plan_execute_memory(plan.get(), in.get(), 0, out.get(), 0, nullptr,
                                                           nullptr) == HALPOOL_OK;
                good =
                    good && halpool_memory_download(out.get(), 0, got.data(), kOutputBytes, nullptr) == HALPOOL_OK;
                failures[t] += !good || got != std::vector<float>(kOutputBytes / 4, value);
            }
        });
    for (std::thread &thread : threads) thread.join();
    EXPECT_EQ(failures, std::vector<int>(kThreads, 0));
}

TEST_P(MemoryExecution, TakesAStreamOnCudaAlone) {
    if (device() == HALPOOL_DEVICE_CUDA) GTEST_SKIP() << "CUDA plans take streams";
    const PlanPtr plan = make();
    const MemoryPtr in = create(kInputBytes), out = create(kOutputBytes);
    halpool_execution execution = HALPOOL_EXECUTION_INIT;
    execution.stream = &execution;
    expect_refused([&](halpool_error *e) {
        return halpool_plan_execute_memory(plan.get(), in.get(), 0, out.get(), 0, &execution, e);
    }, "stream");
}

// The header of a caller that does not know `stream` yet.
TEST_P(MemoryExecution, ReadsNoFieldThatTheCallersHeaderDidNotHave) {
    const PlanPtr plan = make();
    const MemoryPtr in = create_from(device(), counting()), out = create(kOutputBytes);
    halpool_execution execution = HALPOOL_EXECUTION_INIT;
    execution.stream = reinterpret_cast<void *>(std::uintptr_t{0x10});
    execution.struct_size = offsetof(halpool_execution, stream);
    halpool_error error;
    ASSERT_EQ(halpool_plan_execute_memory(plan.get(), in.get(), 0, out.get(), 0, &execution, &error), HALPOOL_OK)
        << error.message;
    EXPECT_EQ(floats_of(out.get()), means());
}

TEST_P(MemoryExecution, OfPartsIsForTheCpuAlone) {
    if (device() == HALPOOL_DEVICE_CPU) GTEST_SKIP() << "CPU plans take parts";
    const PlanPtr plan = make();
    const MemoryPtr in = create(kInputBytes), out = create(kOutputBytes);
    std::vector<float> host_in(kInputBytes / 4), host_out(kOutputBytes / 4, 4.0f);
    for (const bool host : {true, false})
        expect_refused(
            [&](halpool_error *e) {
                return halpool_plan_execute_part(
                    plan.get(), host ? host_in.data() : halpool_memory_pointer(in.get()),
                    host ? host_out.data() : halpool_memory_pointer(out.get()), 0, 2, e);
            },
            GetParam().name);
    EXPECT_EQ(host_out, std::vector<float>(kOutputBytes / 4, 4.0f));
}

TEST_P(MemoryExecution, OnPointersWorksWhereTheDeviceHasThem) {
    const PlanPtr plan = make();
    const MemoryPtr in = create_from(device(), counting()),
                    out = create_from(device(), std::vector<float>(kOutputBytes / 4));
    if (device() == HALPOOL_DEVICE_VULKAN) {
        std::vector<float> host_in(kInputBytes / 4), host_out(kOutputBytes / 4, 4.0f);
        expect_refused([&](halpool_error *e) {
            return halpool_plan_execute(plan.get(), host_in.data(), host_out.data(), nullptr, e);
        }, "halpool_plan_execute_memory");
        EXPECT_EQ(host_out, std::vector<float>(kOutputBytes / 4, 4.0f));
        return;
    }
    halpool_error error;
    ASSERT_EQ(halpool_plan_execute(plan.get(), halpool_memory_pointer(in.get()), halpool_memory_pointer(out.get()),
                                   nullptr, &error),
              HALPOOL_OK)
        << error.message;
    EXPECT_EQ(floats_of(out.get()), means());
}

TEST_P(MemoryExecution, OnPointersRefusesNullMisalignedAndOverlappingData) {
    if (device() == HALPOOL_DEVICE_VULKAN) GTEST_SKIP() << "Vulkan memory has no pointers";
    const PlanPtr plan = make();
    const MemoryPtr in = create(4096), out = create(4096);
    auto *const from = static_cast<char *>(halpool_memory_pointer(in.get()));
    auto *const to = static_cast<char *>(halpool_memory_pointer(out.get()));
    const auto refused = [&](const void *input, void *output, const char *word) {
        expect_refused(
            [&](halpool_error *e) { return halpool_plan_execute(plan.get(), input, output, nullptr, e); }, word);
    };
    refused(nullptr, to, "null");
    refused(from, nullptr, "null");
    refused(from + 1, to, "aligned");
    refused(from, to + 2, "aligned");
    refused(from, from, "overlap");
    refused(from, from + 4, "overlap");
}

// A tensor of more bytes than one buffer of a kernel may have on the device takes several launches.
TEST_P(MemoryExecution, TakesTensorsOfManyPlanes) {
    const Problem problem{{3, 1, 4096, 4096}, {64}};
    const StridedLayout input = planar(problem.input_shape), output = planar({3, 1, 64, 64});
    const PlanAttempt made = make_plan(problem, input, output, nullptr, nullptr, device());
    ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
    std::vector<float> values(input.count());
    for (std::size_t i = 0; i < values.size(); ++i)  // constant in every window
        values[i] = static_cast<float>(i / 64 % 64 + i / 4096 / 64 * 64);
    const MemoryPtr in = create_from(device(), values), out = create(output.count() * sizeof(float));
    halpool_error error;
    ASSERT_EQ(halpool_plan_execute_memory(made.plan.get(), in.get(), 0, out.get(), 0, nullptr, &error), HALPOOL_OK)
        << error.message;
    const std::vector<float> got = floats_of(out.get());
    for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], static_cast<float>(i)) << "element " << i;
}

// More launches than one, whose data does not start at multiples of what devices align offsets to.
TEST_P(MemoryExecution, TakesMorePlanesThanALaunchHasBlocks) {
    constexpr std::int64_t planes = 150001;
    const Problem problem{{planes, 1, 3, 3}, {3}};
    const StridedLayout input = planar(problem.input_shape), output = planar({planes, 1, 1, 1});
    const PlanAttempt made = make_plan(problem, input, output, nullptr, nullptr, device());
    ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
    std::vector<float> values(input.count());
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i / 9);
    const MemoryPtr in = create_from(device(), values), out = create(output.count() * sizeof(float));
    halpool_error error;
    ASSERT_EQ(halpool_plan_execute_memory(made.plan.get(), in.get(), 0, out.get(), 0, nullptr, &error), HALPOOL_OK)
        << error.message;
    const std::vector<float> got = floats_of(out.get());
    for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], static_cast<float>(i), 0.02f) << "plane " << i;
}

// Vulkan devices may allow no more than 65535 blocks a launch: 22500 are needed.
TEST_P(MemoryExecution, OfManyChannelsIsNotRefusedForBlocksThatItDoesNotNeed) {
    const Problem problem{{1, 32, 300, 300}, {7}, {1}, {3}};
    const StridedLayout layout = channels_last(problem.input_shape);
    const PlanAttempt made = make_plan(problem, layout, layout, nullptr, nullptr, device());
    ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
    if (device() == HALPOOL_DEVICE_CPU) GTEST_SKIP() << "the CPU has no launches";
    EXPECT_NE(std::string(halpool_plan_kernel(made.plan.get())).find("_nhwc_separable_"), std::string::npos)
        << halpool_plan_describe(made.plan.get());
}

HALPOOL_TEST_EVERY_DEVICE(MemoryExecution);

TEST(MemoryExecutionOnTheCpu, TakesViewsWalkedBackwards) {
    const Problem problem{{1, 1, 4, 6}, {2}};
    const StridedLayout flipped{{1, 1, 4, 6}, {24, 24, -6, -1}};
    const PlanAttempt made = make_plan(problem, flipped, planar({1, 1, 2, 3}));
    ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
    std::vector<float> values(24), got(6);
    std::iota(values.begin(), values.end(), 0.0f);
    halpool_memory *in = nullptr, *out = nullptr;
    ASSERT_EQ(halpool_memory_create(HALPOOL_DEVICE_CPU, 96, &in, nullptr), HALPOOL_OK);
    ASSERT_EQ(halpool_memory_create(HALPOOL_DEVICE_CPU, 24, &out, nullptr), HALPOOL_OK);
    const MemoryPtr free_in(in), free_out(out);
    ASSERT_EQ(halpool_memory_upload(in, 0, values.data(), 96, nullptr), HALPOOL_OK);
    halpool_error error;
    // Element [0, 0, 0, 0] is the last in memory.
    ASSERT_EQ(halpool_plan_execute_memory(made.plan.get(), in, 92, out, 0, nullptr, &error), HALPOOL_OK)
        << error.message;
    ASSERT_EQ(halpool_memory_download(out, 0, got.data(), 24, nullptr), HALPOOL_OK);
    EXPECT_EQ(got, (std::vector<float>{19.5f, 17.5f, 15.5f, 7.5f, 5.5f, 3.5f}));
    for (const std::size_t offset : {0, 4, 88, 96, 100})
        expect_refused([&](halpool_error *e) {
            return halpool_plan_execute_memory(made.plan.get(), in, offset, out, 0, nullptr, e);
        }, "input");
}

}  // namespace
}  // namespace halpool_test
