// A libvulkan.so.1 for tests: the real one with faults. faulty_vulkan_loader.hpp says how a test directs it.
#include "faulty_vulkan_loader.hpp"

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <sstream>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

// ---- Settings ----

std::string all_settings();

std::optional<std::string> setting(const std::string &name) {
    std::istringstream words(all_settings());
    for (std::string word; words >> word;) {
        if (word.compare(0, name.size() + 1, name + "=") == 0) return word.substr(name.size() + 1);
    }
    return std::nullopt;
}

std::uint32_t number(const char *name, std::uint32_t otherwise) {
    const auto value = setting(name);
    return value ? static_cast<std::uint32_t>(std::strtoul(value->c_str(), nullptr, 10)) : otherwise;
}

std::uint32_t version(const char *name, std::uint32_t otherwise) {
    const auto value = setting(name);
    if (!value) return otherwise;
    return VK_MAKE_API_VERSION(0, static_cast<unsigned>(value->at(0) - '0'),
                               static_cast<unsigned>(value->at(2) - '0'), 0);
}

// ---- What is known of the calls ----

struct Shadow {  // the host's view of incoherent memory
    std::vector<unsigned char> bytes;
    unsigned char *real = nullptr;
};

struct State final : halpool_test::FaultyVulkan {
    std::recursive_mutex mutex;
    std::map<std::string, int> counts;
    std::map<VkDeviceMemory, VkDeviceSize> memory;
    std::map<VkDeviceMemory, Shadow> shadows;
    std::string settings = std::getenv("HALPOOL_FAULTY_VULKAN") ? std::getenv("HALPOOL_FAULTY_VULKAN") : "";

    void set(const std::string &to) override {
        const std::lock_guard lock(mutex);
        settings = to;
    }
    int calls(const std::string &function) override {
        const std::lock_guard lock(mutex);
        return counts[function];
    }
    int calls() override {
        const std::lock_guard lock(mutex);
        int sum = 0;
        for (const auto &[name, count] : counts) sum += count;
        return sum;
    }
    int memory_allocations() override {
        const std::lock_guard lock(mutex);
        return static_cast<int>(memory.size());
    }
};
State &state() {
    static State *const state = new State;  // never destroyed: a driver's threads may outlive main
    return *state;
}
using Lock = std::lock_guard<std::recursive_mutex>;

std::string all_settings() {
    const Lock lock(state().mutex);
    return state().settings;
}

// ---- Calls that are counted, made to fail, or handed on ----

void *real_library() {
    static void *const library = [] {
        const char *path = std::getenv("HALPOOL_REAL_VULKAN");
        return path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
    }();
    return library;
}
PFN_vkGetInstanceProcAddr real_get_instance_proc_addr() {
    return real_library()
               ? reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(real_library(), "vkGetInstanceProcAddr"))
               : nullptr;
}

// Counts the call; true: it has to fail with *result.
bool has_to_fail(const char *name, VkResult *result) {
    const Lock lock(state().mutex);
    ++state().counts[name];
    const auto code = setting(name);
    if (code) *result = static_cast<VkResult>(std::atoi(code->c_str()));
    return code.has_value();
}

// One for each function: `Function` has its name, its type and a variable for the real one.
template <class Function, class Pfn = typename Function::Pfn>
struct Forwarded;
template <class Function, class R, class... A>
struct Forwarded<Function, R(VKAPI_PTR *)(A...)> {
    static VKAPI_ATTR R VKAPI_CALL call(A... arguments) {
        VkResult result = VK_SUCCESS;
        const bool fails = has_to_fail(Function::name, &result);
        if constexpr (std::is_same_v<R, VkResult>) {
            if (fails) {
                // What was submitted is still at work: a device that fails here would have stopped.
                if (std::strcmp(Function::name, "vkWaitForFences") == 0) Function::changed(arguments...);
                return result;
            }
        }
        return Function::changed(arguments...);
    }
};

#define FUNCTION_BEGIN(vk_name)                            \
    struct vk_name {                                       \
        using Pfn = PFN_vk##vk_name;                       \
        static constexpr const char *name = "vk" #vk_name; \
        static inline Pfn real = nullptr;
#define FUNCTION_END };

#define HANDED_ON(vk_name)                \
    FUNCTION_BEGIN(vk_name)               \
    template <class... A>                 \
    static auto changed(A... arguments) { \
        return real(arguments...);        \
    }                                     \
    FUNCTION_END

#define HANDED_ON_FUNCTIONS(X)                                                                                 \
    X(EnumerateInstanceLayerProperties) X(CreateInstance) X(DestroyInstance) X(GetDeviceQueue) X(QueueSubmit)  \
    X(DestroyBuffer) X(BindBufferMemory) X(CreateCommandPool) X(DestroyCommandPool) X(ResetCommandPool)        \
    X(AllocateCommandBuffers) X(BeginCommandBuffer) X(EndCommandBuffer) X(CmdBindPipeline)                     \
    X(CmdBindDescriptorSets) X(CmdDispatch) X(CmdCopyBuffer) X(CmdPipelineBarrier) X(CreateFence)              \
    X(DestroyFence) X(ResetFences) X(WaitForFences) X(CreateDescriptorSetLayout) X(DestroyDescriptorSetLayout) \
    X(CreatePipelineLayout) X(DestroyPipelineLayout) X(CreateDescriptorPool) X(DestroyDescriptorPool)          \
    X(ResetDescriptorPool) X(AllocateDescriptorSets) X(UpdateDescriptorSets) X(CreateShaderModule)             \
    X(DestroyShaderModule) X(CreateComputePipelines) X(DestroyPipeline)
HANDED_ON_FUNCTIONS(HANDED_ON)

FUNCTION_BEGIN(EnumerateInstanceVersion)
static VkResult changed(std::uint32_t *to) {
    const VkResult result = real(to);
    *to = version("loader", *to);
    return result;
}
FUNCTION_END

// ---- Devices ----

struct FakeDevice {  // what a VkPhysicalDevice of ours points to
    VkPhysicalDevice real;
    std::string type;
    std::size_t index;
};
const FakeDevice &fake(VkPhysicalDevice device) { return *reinterpret_cast<const FakeDevice *>(device); }

FUNCTION_BEGIN(GetPhysicalDeviceProperties)
static void change(const FakeDevice &device, VkPhysicalDeviceProperties &properties) {
    const std::pair<const char *, VkPhysicalDeviceType> types[] = {
        {"other", VK_PHYSICAL_DEVICE_TYPE_OTHER},
        {"integrated", VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU},
        {"discrete", VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU},
        {"virtual", VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU},
        {"cpu", VK_PHYSICAL_DEVICE_TYPE_CPU}};
    for (const auto &[word, type] : types) {
        if (device.type != word) continue;
        properties.deviceType = type;
        const std::string name = "Fake " + device.type + " " + std::to_string(device.index);
        std::strncpy(properties.deviceName, name.c_str(), sizeof properties.deviceName - 1);
    }
    properties.apiVersion = version("version", properties.apiVersion);
    properties.limits.maxStorageBufferRange = number("buffer_bytes", properties.limits.maxStorageBufferRange);
    properties.limits.maxComputeWorkGroupInvocations =
        number("threads", properties.limits.maxComputeWorkGroupInvocations);
    properties.limits.maxMemoryAllocationCount = number("allocations", properties.limits.maxMemoryAllocationCount);
}
static void changed(VkPhysicalDevice device, VkPhysicalDeviceProperties *properties) {
    real(fake(device).real, properties);
    change(fake(device), *properties);
}
FUNCTION_END

FUNCTION_BEGIN(GetPhysicalDeviceProperties2)
static void changed(VkPhysicalDevice device, VkPhysicalDeviceProperties2 *properties) {
    real(fake(device).real, properties);
    GetPhysicalDeviceProperties::change(fake(device), properties->properties);
}
FUNCTION_END

FUNCTION_BEGIN(EnumeratePhysicalDevices)
static VkResult changed(VkInstance instance, std::uint32_t *count, VkPhysicalDevice *devices) {
    const Lock lock(state().mutex);
    std::uint32_t real_count = 0;
    VkResult result = real(instance, &real_count, nullptr);
    std::vector<VkPhysicalDevice> found(real_count);
    if (result == VK_SUCCESS && real_count > 0) result = real(instance, &real_count, found.data());
    if (result != VK_SUCCESS || found.empty()) return VK_ERROR_INITIALIZATION_FAILED;
    const auto is_cpu = [](VkPhysicalDevice device) {
        VkPhysicalDeviceProperties properties{};
        GetPhysicalDeviceProperties::real(device, &properties);
        return properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
    };
    const auto cpu = std::find_if(found.begin(), found.end(), is_cpu);

    static std::deque<FakeDevice> made;
    const std::size_t begin = made.size();
    std::istringstream types(setting("devices").value_or("real"));
    for (std::string type; std::getline(types, type, ',');) {
        made.push_back({cpu == found.end() ? found[0] : *cpu, type, made.size() - begin});
    }
    const std::size_t there = made.size() - begin;
    if (devices) {
        for (std::size_t i = 0; i < std::min<std::size_t>(*count, there); ++i) {
            devices[i] = reinterpret_cast<VkPhysicalDevice>(&made[begin + i]);
        }
    }
    *count = static_cast<std::uint32_t>(there);
    return VK_SUCCESS;
}
FUNCTION_END

FUNCTION_BEGIN(GetPhysicalDeviceFeatures2)
static void changed(VkPhysicalDevice device, VkPhysicalDeviceFeatures2 *features) {
    real(fake(device).real, features);
}
FUNCTION_END

FUNCTION_BEGIN(GetPhysicalDeviceQueueFamilyProperties)
static void changed(VkPhysicalDevice device, std::uint32_t *count, VkQueueFamilyProperties *families) {
    real(fake(device).real, count, families);
    if (!families || !setting("queues")) return;
    for (std::uint32_t i = 0; i < *count; ++i)
        families[i].queueFlags &= ~static_cast<VkQueueFlags>(VK_QUEUE_COMPUTE_BIT);
}
FUNCTION_END

// ---- Memory ----

// The real memory type behind ours: one that the host sees. Found when the device is made.
std::uint32_t real_type = 0;
std::string memory_setting() { return setting("memory").value_or(""); }
bool incoherent() { return memory_setting() == "incoherent" || memory_setting() == "both"; }
bool staged() { return memory_setting() == "staged" || memory_setting() == "both"; }

FUNCTION_BEGIN(GetPhysicalDeviceMemoryProperties)
static void changed(VkPhysicalDevice device, VkPhysicalDeviceMemoryProperties *properties) {
    real(fake(device).real, properties);
    for (std::uint32_t i = properties->memoryTypeCount; i-- > 0;) {
        if (properties->memoryTypes[i].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) real_type = i;
    }
    if (memory_setting().empty()) return;
    const VkMemoryPropertyFlags seen =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT |
        (incoherent() ? 0u : static_cast<VkMemoryPropertyFlags>(VK_MEMORY_PROPERTY_HOST_COHERENT_BIT));
    const std::uint32_t heap = properties->memoryTypes[real_type].heapIndex;
    properties->memoryTypeCount = staged() ? 2 : 1;
    properties->memoryTypes[0] = {VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | (staged() ? 0u : seen), heap};
    properties->memoryTypes[1] = {seen, heap};
}
FUNCTION_END

FUNCTION_BEGIN(GetBufferMemoryRequirements)
static void changed(VkDevice device, VkBuffer buffer, VkMemoryRequirements *requirements) {
    real(device, buffer, requirements);
    if (!memory_setting().empty()) requirements->memoryTypeBits = staged() ? 3 : 1;
}
FUNCTION_END

FUNCTION_BEGIN(CreateBuffer)
static VkResult changed(VkDevice device, const VkBufferCreateInfo *info, const VkAllocationCallbacks *callbacks,
                        VkBuffer *buffer) {
    VkBufferCreateInfo made = *info;
    if (setting("invalid_usage")) made.usage = 0;
    return real(device, &made, callbacks, buffer);
}
FUNCTION_END

FUNCTION_BEGIN(AllocateMemory)
static VkResult changed(VkDevice device, const VkMemoryAllocateInfo *info, const VkAllocationCallbacks *callbacks,
                        VkDeviceMemory *memory) {
    const Lock lock(state().mutex);
    VkMemoryAllocateInfo made = *info;
    if (!memory_setting().empty()) made.memoryTypeIndex = real_type;
    const VkResult result = real(device, &made, callbacks, memory);
    if (result == VK_SUCCESS) state().memory[*memory] = info->allocationSize;
    return result;
}
FUNCTION_END

FUNCTION_BEGIN(FreeMemory)
static void changed(VkDevice device, VkDeviceMemory memory, const VkAllocationCallbacks *callbacks) {
    const Lock lock(state().mutex);
    state().memory.erase(memory);
    state().shadows.erase(memory);
    real(device, memory, callbacks);
}
FUNCTION_END

FUNCTION_BEGIN(MapMemory)
static VkResult changed(VkDevice device, VkDeviceMemory memory, VkDeviceSize offset, VkDeviceSize size,
                        VkMemoryMapFlags flags, void **data) {
    const Lock lock(state().mutex);
    const VkResult result = real(device, memory, offset, size, flags, data);
    if (result != VK_SUCCESS || !incoherent()) return result;
    Shadow &shadow = state().shadows[memory];
    shadow.real = static_cast<unsigned char *>(*data);
    shadow.bytes.assign(state().memory[memory], 0xa5);
    *data = shadow.bytes.data();
    return result;
}
FUNCTION_END

// What the rules of vkFlushMappedMemoryRanges ask of a range. `copy` gets the two views of it.
template <class Copy>
VkResult for_ranges(std::uint32_t count, const VkMappedMemoryRange *ranges, Copy copy) {
    const Lock lock(state().mutex);
    constexpr VkDeviceSize atom = 64;  // lavapipe's nonCoherentAtomSize
    for (std::uint32_t i = 0; i < count; ++i) {
        const VkMappedMemoryRange &range = ranges[i];
        const VkDeviceSize bytes = state().memory[range.memory];
        const auto shadow = state().shadows.find(range.memory);
        const bool whole =
            range.offset % atom == 0 && (range.size % atom == 0 || range.offset + range.size == bytes);
        if (shadow == state().shadows.end() || !whole || range.offset > bytes ||
            range.size > bytes - range.offset) {
            return VK_ERROR_UNKNOWN;
        }
        copy(shadow->second.bytes.data() + range.offset, shadow->second.real + range.offset, range.size);
    }
    return VK_SUCCESS;
}

FUNCTION_BEGIN(FlushMappedMemoryRanges)
static VkResult changed(VkDevice device, std::uint32_t count, const VkMappedMemoryRange *ranges) {
    const VkResult result = for_ranges(count, ranges, [](auto *host, auto *device_view, std::size_t bytes) {
        std::memcpy(device_view, host, bytes);
    });
    return result == VK_SUCCESS ? real(device, count, ranges) : result;
}
FUNCTION_END

FUNCTION_BEGIN(InvalidateMappedMemoryRanges)
static VkResult changed(VkDevice device, std::uint32_t count, const VkMappedMemoryRange *ranges) {
    const VkResult result = real(device, count, ranges);
    if (result != VK_SUCCESS) return result;
    return for_ranges(count, ranges, [](auto *host, auto *device_view, std::size_t bytes) {
        std::memcpy(host, device_view, bytes);
    });
}
FUNCTION_END

// ---- Looking functions up ----

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device_proc_addr(VkDevice, const char *name);

FUNCTION_BEGIN(CreateDevice)
static VkResult changed(VkPhysicalDevice device, const VkDeviceCreateInfo *info,
                        const VkAllocationCallbacks *callbacks, VkDevice *made) {
    return real(fake(device).real, info, callbacks, made);
}
FUNCTION_END

#define CHANGED_FUNCTIONS(X)                                                                                \
    X(EnumerateInstanceVersion) X(EnumeratePhysicalDevices) X(GetPhysicalDeviceProperties)                  \
    X(GetPhysicalDeviceProperties2) X(GetPhysicalDeviceFeatures2) X(GetPhysicalDeviceQueueFamilyProperties) \
    X(GetPhysicalDeviceMemoryProperties) X(GetBufferMemoryRequirements) X(CreateBuffer) X(AllocateMemory)   \
    X(FreeMemory) X(MapMemory) X(FlushMappedMemoryRanges) X(InvalidateMappedMemoryRanges) X(CreateDevice)

VkInstance last_instance = VK_NULL_HANDLE;

PFN_vkVoidFunction find(VkInstance instance, const char *name) {
    const PFN_vkGetInstanceProcAddr real = real_get_instance_proc_addr();
    if (!real) return nullptr;
    const PFN_vkVoidFunction found = real(instance, name);
    if (!found) return nullptr;
    if (std::strcmp(name, "vkGetDeviceProcAddr") == 0)
        return reinterpret_cast<PFN_vkVoidFunction>(get_device_proc_addr);
#define FIND(vk_name)                                                          \
    if (std::strcmp(name, vk_name::name) == 0) {                               \
        vk_name::real = reinterpret_cast<vk_name::Pfn>(found);                 \
        return reinterpret_cast<PFN_vkVoidFunction>(Forwarded<vk_name>::call); \
    }
    HANDED_ON_FUNCTIONS(FIND)
    CHANGED_FUNCTIONS(FIND)
    return found;
}

// The loader's own entry for a device's function takes any device.
PFN_vkVoidFunction VKAPI_CALL get_device_proc_addr(VkDevice, const char *name) {
    return find(last_instance, name);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) PFN_vkVoidFunction vkGetInstanceProcAddr(VkInstance instance,
                                                                                           const char *name) {
    const Lock lock(state().mutex);
    if (std::strcmp(name, "vkEnumerateInstanceVersion") == 0 && setting("loader") == "1.0") return nullptr;
    if (instance != VK_NULL_HANDLE) last_instance = instance;
    return find(instance, name);
}

extern "C" __attribute__((visibility("default"))) halpool_test::FaultyVulkan *halpool_faulty_vulkan() {
    return &state();
}
