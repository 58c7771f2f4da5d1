// The Vulkan launcher on machines where something is missing or fails: what it says of it, and that the program
// goes on. The faults are faulty_vulkan_loader.cpp's, over the real loader and a real device (lavapipe). Whether
// there is a device is found out once in a process, so that each case here runs in a process of its own, which
// finds its libvulkan.so.1 as any program does.
#include "guarded_execution.hpp"
#include "kernels_under_test.hpp"
#include "oracle.hpp"
#include "runtime/faulty_vulkan_loader.hpp"
#include "runtime/process_with_driver.hpp"

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <numeric>
#include <thread>

#if defined(__SANITIZE_ADDRESS__)
// Drivers leak, and those that the loader has unloaded again cannot even be named in a suppression.
extern "C" const char *__asan_default_options() { return "detect_leaks=0"; }
#endif

namespace halpool_test {
namespace {

const std::string kFaultyLoader = HALPOOL_FAULTY_VULKAN_DIR, kRealLoader;

// With the validation layer if the machine has it. See faulty_vulkan_loader.hpp for settings.
template <class Body>
void with_loader(const std::string &directory, const std::string &settings, const Variables &variables, Body body) {
    Variables all = variables;
    all["HALPOOL_FAULTY_VULKAN"] = settings;
    all.emplace("HALPOOL_VULKAN_VALIDATION", HALPOOL_VULKAN_VALIDATION_LAYER ? "1" : "0");
    in_process_with(directory, all, body);
}

template <class Body>
void with_faults(const std::string &settings, Body body) {
    with_loader(kFaultyLoader, settings, {}, body);
}

FaultyVulkan &faulty() {
    void *const library = dlopen("libvulkan.so.1", RTLD_NOW);
    void *const symbol = library ? dlsym(library, kFaultyVulkanSymbol) : nullptr;
    if (!symbol) throw std::runtime_error("the faulty loader is not the one that is loaded");
    return *reinterpret_cast<FaultyVulkan *(*)()>(symbol)();
}

// Changes the faults from here on.
void now(const std::string &settings) { faulty().set(settings); }

// The path of this machine's loader, if it finds a device; else empty, and *why says what is missing.
std::string find_real_vulkan(std::string *why) {
    void *const library = dlopen("libvulkan.so.1", RTLD_NOW);
    void *const entry = library ? dlsym(library, "vkGetInstanceProcAddr") : nullptr;
    *why = "this machine has no Vulkan loader (Debian: libvulkan1)";
    Dl_info info{};
    if (!entry || !dladdr(entry, &info)) return "";
    const auto get = reinterpret_cast<PFN_vkGetInstanceProcAddr>(entry);
    const auto create = reinterpret_cast<PFN_vkCreateInstance>(get(nullptr, "vkCreateInstance"));
    VkInstanceCreateInfo instance_info{};
    instance_info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
    VkInstance instance = VK_NULL_HANDLE;
    std::uint32_t devices = 0;
    *why = "this machine has no Vulkan device (Debian: mesa-vulkan-drivers)";
    if (!create || create(&instance_info, nullptr, &instance) != VK_SUCCESS) return "";
    const auto enumerate =
        reinterpret_cast<PFN_vkEnumeratePhysicalDevices>(get(instance, "vkEnumeratePhysicalDevices"));
    const auto destroy = reinterpret_cast<PFN_vkDestroyInstance>(get(instance, "vkDestroyInstance"));
    enumerate(instance, &devices, nullptr);
    destroy(instance, nullptr);
    return devices > 0 ? info.dli_fname : "";
}

// Tests that need a device behind the faults.
class OverARealDevice : public ::testing::Test {
protected:
    void SetUp() override {
        if (std::getenv("HALPOOL_REAL_VULKAN")) return;  // found by this process, or the one that started it
        std::string why;
        const std::string path = find_real_vulkan(&why);
        if (path.empty()) GTEST_SKIP() << why;
        setenv("HALPOOL_REAL_VULKAN", path.c_str(), 1);
    }
};
class VulkanProbing : public OverARealDevice {};
class VulkanChoice : public OverARealDevice {};
class VulkanMemory : public OverARealDevice {};
class VulkanRun : public OverARealDevice {};
class VulkanLoss : public OverARealDevice {};
class VulkanValidation : public OverARealDevice {};

#define EXPECT_HAS(whole, part) EXPECT_PRED2(holds, std::string(whole), std::string(part))
bool holds(const std::string &whole, const std::string &part) { return whole.find(part) != std::string::npos; }

// ---- Pooling
// -----------------------------------------------------------------------------------------------------

const Problem kProblem{{2, 16, 8, 8}, {2}};
constexpr std::size_t kInputs = 2 * 16 * 8 * 8, kOutputs = kInputs / 4;

std::vector<float> counted() {
    std::vector<float> input(kInputs);
    std::iota(input.begin(), input.end(), 0.0f);
    return input;
}

void expect_means(const std::vector<float> &output) {
    ASSERT_EQ(output.size(), kOutputs);
    for (std::size_t i = 0; i < kOutputs; ++i) {
        const std::size_t row = i / 4, column = i % 4;  // the rows of all planes are one run of memory
        ASSERT_EQ(output[i], static_cast<float>(row * 16 + column * 2) + 4.5f) << i;
    }
}

halpool_device_info vulkan_device() {
    for (std::size_t i = 0; i < halpool_device_count(); ++i)
        if (halpool_device_at(i).device == HALPOOL_DEVICE_VULKAN) return halpool_device_at(i);
    return {0, "", 0, "not linked"};
}

PlanAttempt plan_on(std::int32_t device) {
    return make_plan(kProblem, planar({2, 16, 8, 8}), planar({2, 16, 4, 4}), nullptr, nullptr, device);
}

struct Outcome {
    halpool_status status;
    std::string message;
};

template <class Call>
Outcome outcome_of(Call call) {
    halpool_error error{};
    const halpool_status status = call(&error);
    EXPECT_EQ(status, error.status);
    return {status, error.message};
}

Outcome create(std::size_t bytes, MemoryPtr *to = nullptr) {
    halpool_memory *memory = nullptr;
    const Outcome outcome = outcome_of(
        [&](halpool_error *error) { return halpool_memory_create(HALPOOL_DEVICE_VULKAN, bytes, &memory, error); });
    EXPECT_EQ(memory != nullptr, outcome.status == HALPOOL_OK);
    MemoryPtr made(memory);
    if (to) *to = std::move(made);
    return outcome;
}

void expect_ok(const Outcome &outcome) { EXPECT_EQ(outcome.status, HALPOOL_OK) << outcome.message; }

void expect_fails(const Outcome &outcome, halpool_status status, const std::string &part) {
    EXPECT_EQ(outcome.status, status) << outcome.message;
    EXPECT_HAS(outcome.message, part);
}

// A plan and its tensors.
struct Pooling {
    PlanAttempt plan = plan_on(HALPOOL_DEVICE_VULKAN);
    MemoryPtr input, output;

    Pooling() {
        EXPECT_EQ(plan.status, HALPOOL_OK) << plan.error.message;
        expect_ok(create(kInputs * sizeof(float), &input));
        expect_ok(create(kOutputs * sizeof(float), &output));
    }
    Outcome upload() const {
        const std::vector<float> values = counted();
        return outcome_of([&](halpool_error *error) {
            return halpool_memory_upload(input.get(), 0, values.data(), values.size() * sizeof(float), error);
        });
    }
    Outcome execute() const {
        return outcome_of([&](halpool_error *error) {
            return halpool_plan_execute_memory(plan.plan.get(), input.get(), 0, output.get(), 0, nullptr, error);
        });
    }
    Outcome download(std::vector<float> *to) const {
        to->assign(kOutputs, -1.0f);
        return outcome_of([&](halpool_error *error) {
            return halpool_memory_download(output.get(), 0, to->data(), to->size() * sizeof(float), error);
        });
    }
    void expect_works() const {
        std::vector<float> result;
        expect_ok(upload());
        expect_ok(execute());
        expect_ok(download(&result));
        expect_means(result);
    }
};

// Pooling of host memory works all the same.
void expect_the_cpu_works() {
    const std::vector<float> input = counted();
    std::vector<float> output(kOutputs);
    const PlanAttempt plan = plan_on(HALPOOL_DEVICE_AUTO);
    ASSERT_EQ(plan.status, HALPOOL_OK) << plan.error.message;
    EXPECT_EQ(halpool_plan_execute(plan.plan.get(), input.data(), output.data(), nullptr, nullptr), HALPOOL_OK);
    expect_means(output);
}

// There is no Vulkan for a reason that holds `part`, and everything that asks for Vulkan gets that reason.
void expect_unavailable(const std::string &part) {
    const halpool_device_info device = vulkan_device();
    EXPECT_FALSE(device.available);
    EXPECT_HAS(device.reason, part);

    const PlanAttempt plan = plan_on(HALPOOL_DEVICE_VULKAN);
    EXPECT_EQ(plan.status, HALPOOL_ERROR_UNSUPPORTED);
    EXPECT_HAS(plan.error.message, part);

    expect_fails(create(64), HALPOOL_ERROR_UNSUPPORTED, part);

    int targets = 0;
    for (std::size_t i = 0; i < halpool_target_count(); ++i) {
        const halpool_target_info target = halpool_target_at(i);
        if (target.device != HALPOOL_DEVICE_VULKAN) continue;
        ++targets;
        EXPECT_FALSE(target.available) << target.name;
        EXPECT_HAS(target.reason, part);
    }
    EXPECT_GT(targets, 0);
    expect_the_cpu_works();
}

// The device that was there is so no more, for a reason that holds `part`.
void expect_no_more(const std::string &part) {
    EXPECT_FALSE(vulkan_device().available);
    EXPECT_HAS(vulkan_device().reason, part);
    const PlanAttempt plan = plan_on(HALPOOL_DEVICE_VULKAN);
    EXPECT_NE(plan.status, HALPOOL_OK);
    EXPECT_HAS(plan.error.message, part);
    const Outcome memory = create(64);
    EXPECT_NE(memory.status, HALPOOL_OK);
    EXPECT_HAS(memory.message, part);
}

// ---- Probing: nothing there
// --------------------------------------------------------------------------------------

TEST(VulkanLoader, ThatCannotBeLoadedIsNone) {
    const std::string directory = ::testing::TempDir() + "halpool_vulkan_broken" + std::to_string(getppid());
    ASSERT_EQ(std::system(("mkdir -p '" + directory + "'").c_str()), 0);
    std::ofstream(directory + "/libvulkan.so.1") << "not a library";
    with_loader(directory, "", {}, [] { expect_unavailable("the Vulkan loader cannot be loaded"); });
}

TEST(VulkanLoader, ThatHasNoEntryIsNamed) {
    with_loader(HALPOOL_EMPTY_VULKAN_DIR, "", {}, [] { expect_unavailable("lacks vkGetInstanceProcAddr"); });
}

TEST(VulkanLoader, IsNotLoadedByProgramsThatPoolHostMemory) {
    with_faults("", [] {
        expect_the_cpu_works();
        EXPECT_EQ(plan_on(HALPOOL_DEVICE_CPU).status, HALPOOL_OK);
        EXPECT_EQ(dlopen("libvulkan.so.1", RTLD_LAZY | RTLD_NOLOAD), nullptr);
    });
}

TEST_F(VulkanProbing, ALoaderOfVersion10IsTooOld) {
    with_faults("loader=1.0",
                [] { expect_unavailable("the Vulkan loader is of version 1.0; version 1.1 is needed"); });
}

TEST_F(VulkanProbing, ALoaderWithoutAnyDriverSaysWhereToLook) {
    with_loader(kRealLoader, "", {{"VK_DRIVER_FILES", "/nowhere"}, {"VK_ICD_FILENAMES", "/nowhere"}},
                [] { expect_unavailable("VK_DRIVER_FILES"); });
}

TEST_F(VulkanProbing, AnInstanceThatFailsIsNamedByItsResult) {
    with_faults("vkCreateInstance=-1",
                [] { expect_unavailable("vkCreateInstance failed: VK_ERROR_OUT_OF_HOST_MEMORY"); });
    with_faults("vkCreateInstance=-77", [] { expect_unavailable("vkCreateInstance failed: VkResult -77"); });
}

TEST_F(VulkanProbing, DriversWithoutADeviceAreNotEnough) {
    with_faults("devices=", [] { expect_unavailable("find no device"); });
    with_faults("vkEnumeratePhysicalDevices=-3",
                [] { expect_unavailable("vkEnumeratePhysicalDevices failed: VK_ERROR_INITIALIZATION_FAILED"); });
}

TEST_F(VulkanProbing, ADeviceOfAnOldVersionIsNamed) {
    with_faults("devices=discrete version=1.0",
                [] { expect_unavailable("Fake discrete 0 (discrete GPU, Vulkan 1.0) has not Vulkan 1.1"); });
}

TEST_F(VulkanProbing, ADeviceThatDoesNotComputeIsNamed) {
    with_faults("devices=integrated queues=graphics", [] {
        expect_unavailable("Fake integrated 0 (integrated GPU, Vulkan 1.3) has no queue that computes");
    });
}

TEST_F(VulkanProbing, ADeviceThatCannotBeOpenedIsNamed) {
    with_faults("devices=discrete vkCreateDevice=-3", [] {
        expect_unavailable("Fake discrete 0: vkCreateDevice failed: VK_ERROR_INITIALIZATION_FAILED");
    });
}

TEST_F(VulkanProbing, ADeviceMadeOfTheCpuIsNotTakenUnasked) {
    with_faults("devices=cpu", [] {
        expect_unavailable("Fake cpu 0 (CPU device");
        expect_unavailable("HALPOOL_VULKAN_DEVICE=cpu");
    });
}

TEST_F(VulkanProbing, EveryDevicesFlawIsTold) {
    with_faults("devices=cpu,virtual,discrete version=1.0", [] {
        for (const char *name : {"Fake cpu 0", "Fake virtual 1", "Fake discrete 2"}) expect_unavailable(name);
    });
}

TEST_F(VulkanProbing, IsDoneOnceHoweverManyThreadsBegin) {
    with_faults("devices=discrete", [] {
        std::atomic<int> waiting{4};
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&] {
                for (--waiting; waiting != 0;) std::this_thread::yield();
                Pooling().expect_works();
            });
        }
        for (std::thread &thread : threads) thread.join();
        EXPECT_EQ(faulty().calls("vkCreateInstance"), 1);
        EXPECT_EQ(faulty().calls("vkCreateDevice"), 1);
    });
}

// ---- Choosing among devices
// --------------------------------------------------------------------------------------

TEST_F(VulkanChoice, PrefersDiscreteThenIntegratedThenVirtual) {
    const std::pair<const char *, const char *> cases[] = {
        {"devices=cpu,virtual,integrated,discrete", "Fake discrete 3 (discrete GPU, Vulkan 1."},
        {"devices=virtual,cpu,integrated", "Fake integrated 2 "},
        {"devices=cpu,virtual", "Fake virtual 1 "},
        {"devices=discrete,discrete", "Fake discrete 0 "}};
    for (const auto &[settings, name] : cases) {
        with_faults(settings, [name = name] {
            EXPECT_TRUE(vulkan_device().available);
            EXPECT_EQ(std::string(vulkan_device().reason).rfind(name, 0), 0u) << vulkan_device().reason;
            Pooling().expect_works();
        });
    }
}

TEST_F(VulkanChoice, FollowsTheVariableByKindAndByPartOfTheName) {
    const std::pair<const char *, const char *> cases[] = {{"cpu", "Fake cpu 0 "},
                                                           {"virtual", "Fake virtual 1 "},
                                                           {"INTEGRATED", "Fake integrated 2 "},
                                                           {"fake D", "Fake discrete 3 "},
                                                           {"U 0", "Fake cpu 0 "}};
    for (const auto &[wish, name] : cases) {
        with_loader(kFaultyLoader, "devices=cpu,virtual,integrated,discrete", {{"HALPOOL_VULKAN_DEVICE", wish}},
                    [name = name] {
                        EXPECT_TRUE(vulkan_device().available);
                        EXPECT_EQ(std::string(vulkan_device().reason).rfind(name, 0), 0u)
                            << vulkan_device().reason;
                    });
    }
}

TEST_F(VulkanChoice, OfADeviceThatIsNotThereListsThoseThatAre) {
    with_loader(kFaultyLoader, "devices=cpu,discrete", {{"HALPOOL_VULKAN_DEVICE", "GeForce"}}, [] {
        expect_unavailable("HALPOOL_VULKAN_DEVICE=GeForce matches no Vulkan device");
        expect_unavailable("Fake cpu 0");
        expect_unavailable("Fake discrete 1");
    });
    with_loader(kFaultyLoader, "devices=discrete", {{"HALPOOL_VULKAN_DEVICE", "cpu"}},
                [] { expect_unavailable("HALPOOL_VULKAN_DEVICE=cpu matches no Vulkan device"); });
}

TEST_F(VulkanChoice, AsksOfADeviceOnlyWhatItsVersionHas) {
    for (const char *settings :
         {"devices=discrete version=1.1", "devices=discrete version=1.2", "devices=discrete version=1.3",
          "devices=discrete loader=1.1", "devices=discrete loader=1.2"}) {
        with_faults(settings, [] { Pooling().expect_works(); });
    }
}

TEST_F(VulkanChoice, LeavesProblemsBeyondTheDevicesLimitsWithAReason) {
    with_faults("devices=discrete threads=16", [] {
        const PlanAttempt plan = plan_on(HALPOOL_DEVICE_VULKAN);
        EXPECT_EQ(plan.status, HALPOOL_ERROR_UNSUPPORTED);
        EXPECT_HAS(plan.error.message, "the device allows 16");
    });
    with_faults("devices=discrete buffer_bytes=64", [] {
        const PlanAttempt plan = plan_on(HALPOOL_DEVICE_VULKAN);
        EXPECT_EQ(plan.status, HALPOOL_ERROR_UNSUPPORTED);
        EXPECT_HAS(plan.error.message, "the device allows 64");
    });
}

TEST_F(VulkanChoice, CutsATensorThatIsLargerThanABufferMayBe) {
    with_faults("devices=discrete buffer_bytes=4096", [] { Pooling().expect_works(); });  // 8192 bytes of input
}

// ---- Memory
// ------------------------------------------------------------------------------------------------------

TEST_F(VulkanMemory, OfEveryKindGivesBackWhatWasStored) {
    for (const char *settings : {"devices=discrete", "devices=discrete memory=staged",
                                 "devices=discrete memory=incoherent", "devices=discrete memory=both"}) {
        with_faults(settings, [] {
            constexpr std::size_t size = 40000003;  // three pieces of a staged copy, and no multiple of anything
            std::vector<unsigned char> stored(size), loaded(size);
            for (std::size_t i = 0; i < size; ++i) stored[i] = static_cast<unsigned char>(i * 2654435761u >> 24);
            MemoryPtr memory;
            expect_ok(create(size, &memory));
            expect_ok(outcome_of([&](halpool_error *error) {
                return halpool_memory_upload(memory.get(), 0, stored.data(), size, error);
            }));
            const std::pair<std::size_t, std::size_t> parts[] = {{0, size},         {1, 1},        {63, 2},
                                                                 {12345, 20000000}, {size - 1, 1}, {size, 0}};
            for (const auto &[offset, bytes] : parts) {
                for (std::size_t i = 0; i < bytes; ++i) stored[offset + i] ^= 0xff;
                expect_ok(outcome_of([&, offset = offset, bytes = bytes](halpool_error *error) {
                    return halpool_memory_upload(memory.get(), offset, stored.data() + offset, bytes, error);
                }));
                expect_ok(outcome_of([&, offset = offset, bytes = bytes](halpool_error *error) {
                    return halpool_memory_download(memory.get(), offset, loaded.data() + offset, bytes, error);
                }));
                EXPECT_EQ(std::equal(stored.begin() + static_cast<std::ptrdiff_t>(offset),
                                     stored.begin() + static_cast<std::ptrdiff_t>(offset + bytes),
                                     loaded.begin() + static_cast<std::ptrdiff_t>(offset)),
                          true)
                    << bytes << " bytes at " << offset;
            }
            expect_ok(outcome_of([&](halpool_error *error) {
                return halpool_memory_download(memory.get(), 0, loaded.data(), size, error);
            }));
            EXPECT_EQ(stored == loaded, true);
        });
    }
}

TEST_F(VulkanMemory, OfEveryKindIsPooledInByManyThreads) {
    for (const char *settings : {"devices=discrete", "devices=discrete memory=staged",
                                 "devices=discrete memory=incoherent", "devices=discrete memory=both"}) {
        with_faults(settings, [] {
            std::vector<std::thread> threads;
            for (int i = 0; i < 4; ++i) {
                threads.emplace_back([] {
                    const Pooling pooling;
                    for (int k = 0; k < 5; ++k) pooling.expect_works();
                });
            }
            for (std::thread &thread : threads) thread.join();
        });
    }
}

TEST_F(VulkanMemory, IsFreedWithItsOwner) {
    with_faults("devices=discrete", [] {
        { Pooling().expect_works(); }
        const int before = faulty().memory_allocations();
        {
            MemoryPtr a, b;
            expect_ok(create(100, &a));
            expect_ok(create(0, &b));
            EXPECT_EQ(faulty().memory_allocations(), before + 2);
        }
        EXPECT_EQ(faulty().memory_allocations(), before);
    });
}

TEST_F(VulkanMemory, ThatCannotBeHadIsAnErrorAndLeavesNothingBehind) {
    with_faults("devices=discrete", [] {
        { Pooling().expect_works(); }
        const int before = faulty().memory_allocations();
        for (const char *fault :
             {"vkCreateBuffer=-1", "vkAllocateMemory=-2", "vkBindBufferMemory=-2", "vkMapMemory=-5"}) {
            now(std::string("devices=discrete ") + fault);
            const Outcome outcome = create(4096);
            EXPECT_EQ(outcome.status, HALPOOL_ERROR_OUT_OF_MEMORY) << fault;
            EXPECT_HAS(outcome.message, "Fake discrete 0");
            EXPECT_EQ(faulty().memory_allocations(), before) << fault;
        }
        now("devices=discrete");
        Pooling().expect_works();
        EXPECT_EQ(faulty().calls("vkCreateBuffer") - 1, faulty().calls("vkDestroyBuffer"))
            << "one is of the idle submission";
    });
}

TEST_F(VulkanMemory, LargerThanTheDeviceAllowsIsRefusedWithTheSize) {
    with_faults("devices=discrete", [] {
        expect_fails(create(~std::size_t{0}), HALPOOL_ERROR_OUT_OF_MEMORY, std::to_string(~std::size_t{0}));
        expect_fails(create(std::size_t{1} << 50), HALPOOL_ERROR_OUT_OF_MEMORY,
                     std::to_string(std::size_t{1} << 50));
    });
}

TEST_F(VulkanMemory, IsLimitedInNumberAsTheDriverSays) {
    with_faults("devices=discrete allocations=5", [] {
        std::vector<MemoryPtr> all(5);
        for (MemoryPtr &memory : all) expect_ok(create(64, &memory));
        expect_fails(create(64), HALPOOL_ERROR_OUT_OF_MEMORY, "allows 5 allocations at a time, and 5 are in use");
        all.pop_back();
        expect_ok(create(64));
    });
}

// ---- Running
// -----------------------------------------------------------------------------------------------------

TEST_F(VulkanRun, CreatesNothingAfterTheFirst) {
    with_faults("devices=discrete", [] {
        const Pooling pooling;
        pooling.expect_works();
        const char *const creators[] = {"vkAllocateMemory",     "vkCreateBuffer",      "vkCreateComputePipelines",
                                        "vkCreateShaderModule", "vkCreateCommandPool", "vkCreateDescriptorPool",
                                        "vkCreateFence",        "vkMapMemory"};
        std::map<std::string, int> before;
        for (const char *name : creators) before[name] = faulty().calls(name);
        const int submitted = faulty().calls("vkQueueSubmit");
        for (int i = 0; i < 10; ++i) pooling.expect_works();
        for (const char *name : creators) EXPECT_EQ(faulty().calls(name), before[name]) << name;
        EXPECT_EQ(faulty().calls("vkQueueSubmit"), submitted + 10);
    });
}

TEST_F(VulkanRun, CompilesAKernelOnceForAllPlans) {
    with_faults("devices=discrete", [] {
        const PlanAttempt first = plan_on(HALPOOL_DEVICE_VULKAN);
        const int compiled = faulty().calls("vkCreateComputePipelines");
        EXPECT_GT(compiled, 0) << "a plan prepares its kernel";
        const PlanAttempt second = plan_on(HALPOOL_DEVICE_VULKAN);
        EXPECT_EQ(faulty().calls("vkCreateComputePipelines"), compiled);
        EXPECT_EQ(faulty().calls("vkQueueSubmit"), 0);
    });
}

TEST_F(VulkanRun, ThatFailsForWantOfMemoryCanBeTriedAgain) {
    with_faults("devices=discrete", [] {
        const Pooling pooling;
        expect_ok(pooling.upload());
        for (const char *fault :
             {"vkCreateCommandPool=-1", "vkAllocateCommandBuffers=-2", "vkCreateFence=-1",
              "vkCreateDescriptorPool=-1", "vkAllocateMemory=-2", "vkBeginCommandBuffer=-1",
              "vkAllocateDescriptorSets=-1000069000", "vkEndCommandBuffer=-2", "vkQueueSubmit=-1"}) {
            now(std::string("devices=discrete ") + fault);
            const Outcome outcome = pooling.execute();
            EXPECT_EQ(outcome.status, HALPOOL_ERROR_OUT_OF_MEMORY) << fault << ": " << outcome.message;
        }
        now("devices=discrete");
        pooling.expect_works();
    });
}

TEST_F(VulkanRun, OfAKernelThatTheDriverCannotCompileIsNotPlanned) {
    with_faults("devices=discrete", [] {
        for (const char *call : {"vkCreateDescriptorSetLayout", "vkCreatePipelineLayout", "vkCreateShaderModule",
                                 "vkCreateComputePipelines"}) {
            now(std::string("devices=discrete ") + call + "=-13");
            const PlanAttempt plan = plan_on(HALPOOL_DEVICE_VULKAN);
            EXPECT_EQ(plan.status, HALPOOL_ERROR_DEVICE) << plan.error.message;
            EXPECT_HAS(plan.error.message, std::string(call) + " failed on Fake discrete 0: VK_ERROR_UNKNOWN");
        }
        now("devices=discrete");
        Pooling().expect_works();
    });
}

TEST_F(VulkanRun, InAProcessForkedAfterUseIsAnErrorAndInOneForkedBeforeWorks) {
    const auto exit_code_of_child = [](auto body) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(60);
            _exit(exit_code_of(body));
        }
        int status = -1;
        EXPECT_EQ(waitpid(child, &status, 0), child);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    };
    with_faults("devices=discrete", [&] {
        EXPECT_EQ(exit_code_of_child([] { Pooling().expect_works(); }), 0) << "before";
        const Pooling pooling;
        pooling.expect_works();
        const int after = exit_code_of_child([&] {
            const int calls = faulty().calls();
            std::vector<float> result;
            for (const Outcome &outcome : {pooling.upload(), pooling.execute(), pooling.download(&result)})
                expect_fails(outcome, HALPOOL_ERROR_DEVICE, "forked");
            expect_no_more("forked");
            EXPECT_EQ(faulty().calls(), calls);
            expect_the_cpu_works();
        });
        EXPECT_EQ(after, 0);
        pooling.expect_works();
    });
}

// ---- A GPU lost in the middle
// ------------------------------------------------------------------------------------

TEST_F(VulkanLoss, OfTheDeviceIsToldByEveryCallThatFollowsAndTheDeviceIsNotTouchedAgain) {
    for (const char *fault : {"vkQueueSubmit=-4", "vkWaitForFences=-4"}) {
        with_faults("devices=discrete", [fault] {
            const Pooling pooling;
            pooling.expect_works();
            now(std::string("devices=discrete ") + fault);
            expect_fails(pooling.execute(), HALPOOL_ERROR_DEVICE, "the Vulkan device Fake discrete 0 was lost");
            now("devices=discrete");

            const int calls = faulty().calls();
            std::vector<float> result;
            for (const Outcome &outcome : {pooling.execute(), pooling.upload(), pooling.download(&result)})
                expect_fails(outcome, HALPOOL_ERROR_DEVICE, "was lost");
            expect_no_more("was lost");
            EXPECT_EQ(faulty().calls(), calls);
            expect_the_cpu_works();
        });
    }
}

TEST_F(VulkanLoss, DuringACopyIsToldToo) {
    with_faults("devices=discrete memory=staged", [] {
        const Pooling pooling;
        now("devices=discrete memory=staged vkQueueSubmit=-4");
        expect_fails(pooling.upload(), HALPOOL_ERROR_DEVICE, "was lost");
        std::vector<float> result;
        expect_fails(pooling.download(&result), HALPOOL_ERROR_DEVICE, "was lost");
    });
}

TEST_F(VulkanLoss, IsToldToThreadsThatAreInTheMiddleOfRuns) {
    with_faults("devices=discrete", [] {
        std::atomic<int> running{0};
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&] {
                const Pooling pooling;
                pooling.expect_works();
                ++running;
                Outcome outcome{HALPOOL_OK, ""};
                while (outcome.status == HALPOOL_OK) outcome = pooling.execute();
                expect_fails(outcome, HALPOOL_ERROR_DEVICE, "was lost");
            });
        }
        while (running != 4) std::this_thread::yield();
        now("devices=discrete vkWaitForFences=-4");
        for (std::thread &thread : threads) thread.join();
    });
}

TEST_F(VulkanLoss, OfTrackOfTheDeviceIsALossToo) {
    with_faults("devices=discrete", [] {
        const Pooling pooling;
        pooling.expect_works();
        now("devices=discrete vkWaitForFences=-2");
        EXPECT_NE(pooling.execute().status, HALPOOL_OK);
        now("devices=discrete");
        expect_fails(pooling.execute(), HALPOOL_ERROR_DEVICE, "vkWaitForFences failed on Fake discrete 0");
    });
}

// ---- The validation layer
// ----------------------------------------------------------------------------------------

TEST_F(VulkanValidation, ThatIsAskedForAndNotInstalledIsMissing) {
    with_loader(kRealLoader, "", {{"HALPOOL_VULKAN_VALIDATION", "1"}, {"VK_LAYER_PATH", "/nowhere"}},
                [] { expect_unavailable("VK_LAYER_KHRONOS_validation is not installed"); });
}

TEST_F(VulkanValidation, MessagesFailEveryCallFromThenOn) {
    if (!HALPOOL_VULKAN_VALIDATION_LAYER)
        GTEST_SKIP() << "needs the validation layer (Debian: vulkan-validationlayers)";
    with_faults("devices=discrete", [] {
        const Pooling pooling;
        pooling.expect_works();
        now("devices=discrete invalid_usage=1");
        expect_fails(create(64), HALPOOL_ERROR_INTERNAL, "VUID-");
        now("devices=discrete");
        for (const Outcome &outcome : {create(64), pooling.upload(), pooling.execute()})
            expect_fails(outcome, HALPOOL_ERROR_INTERNAL, "VUID-");
        EXPECT_NE(plan_on(HALPOOL_DEVICE_VULKAN).status, HALPOOL_OK);
    });
}

}  // namespace
}  // namespace halpool_test
