#include "vulkan_device.hpp"

#include "failure.hpp"
#include "vulkan_kernels.hpp"
#include "vulkan_submission.hpp"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

namespace halpool::vulkan {
namespace {

constexpr std::uint32_t kLeastVersion = VK_API_VERSION_1_1;
constexpr const char *kValidationLayer = "VK_LAYER_KHRONOS_validation";

std::string environment(const char *variable) {
    const char *value = std::getenv(variable);
    return value ? value : "";
}

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

std::string result_name(VkResult result) {
    switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY: return "VK_ERROR_OUT_OF_HOST_MEMORY";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY: return "VK_ERROR_OUT_OF_DEVICE_MEMORY";
    case VK_ERROR_INITIALIZATION_FAILED: return "VK_ERROR_INITIALIZATION_FAILED";
    case VK_ERROR_DEVICE_LOST: return "VK_ERROR_DEVICE_LOST";
    case VK_ERROR_MEMORY_MAP_FAILED: return "VK_ERROR_MEMORY_MAP_FAILED";
    case VK_ERROR_LAYER_NOT_PRESENT: return "VK_ERROR_LAYER_NOT_PRESENT";
    case VK_ERROR_EXTENSION_NOT_PRESENT: return "VK_ERROR_EXTENSION_NOT_PRESENT";
    case VK_ERROR_FEATURE_NOT_PRESENT: return "VK_ERROR_FEATURE_NOT_PRESENT";
    case VK_ERROR_INCOMPATIBLE_DRIVER: return "VK_ERROR_INCOMPATIBLE_DRIVER";
    case VK_ERROR_TOO_MANY_OBJECTS: return "VK_ERROR_TOO_MANY_OBJECTS";
    case VK_ERROR_FRAGMENTED_POOL: return "VK_ERROR_FRAGMENTED_POOL";
    case VK_ERROR_OUT_OF_POOL_MEMORY: return "VK_ERROR_OUT_OF_POOL_MEMORY";
    case VK_ERROR_UNKNOWN: return "VK_ERROR_UNKNOWN";
    default: return text("VkResult ", static_cast<int>(result));
    }
}

halpool_status status_of(VkResult result) {
    switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    case VK_ERROR_MEMORY_MAP_FAILED:
    case VK_ERROR_TOO_MANY_OBJECTS:
    case VK_ERROR_FRAGMENTED_POOL:
    case VK_ERROR_OUT_OF_POOL_MEMORY: return HALPOOL_ERROR_OUT_OF_MEMORY;
    default: return HALPOOL_ERROR_DEVICE;
    }
}

// ---- Validation ----

std::atomic<const std::string *> first_validation_message{nullptr};

VKAPI_ATTR VkBool32 VKAPI_CALL on_validation_message(VkDebugUtilsMessageSeverityFlagBitsEXT,
                                                     VkDebugUtilsMessageTypeFlagsEXT,
                                                     const VkDebugUtilsMessengerCallbackDataEXT *data, void *) {
    const char *message = data && data->pMessage ? data->pMessage : "(no text)";
    std::fprintf(stderr, "halpool: Vulkan validation: %s\n", message);
    const std::string *none = nullptr;
    const auto *kept = new std::string(message);  // for the life of the program
    if (!first_validation_message.compare_exchange_strong(none, kept)) delete kept;
    return VK_FALSE;
}

bool has_layer(const Functions &vk, const char *name) {
    std::uint32_t count = 0;
    vk.EnumerateInstanceLayerProperties(&count, nullptr);
    std::vector<VkLayerProperties> layers(count);
    vk.EnumerateInstanceLayerProperties(&count, layers.data());
    layers.resize(std::min<std::size_t>(count, layers.size()));
    return std::any_of(layers.begin(), layers.end(),
                       [&](const VkLayerProperties &layer) { return std::strcmp(layer.layerName, name) == 0; });
}

// ---- Choosing ----

struct Kind {
    VkPhysicalDeviceType type;
    const char *word;  // of HALPOOL_VULKAN_DEVICE
    const char *text;
};
// In order of preference.
constexpr Kind kKinds[] = {
    {VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, "discrete", "discrete GPU"},
    {VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU, "integrated", "integrated GPU"},
    {VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU, "virtual", "virtual GPU"},
    {VK_PHYSICAL_DEVICE_TYPE_OTHER, "", "device of another kind"},
    {VK_PHYSICAL_DEVICE_TYPE_CPU, "cpu", "CPU device"},
};

std::size_t rank(VkPhysicalDeviceType type) {
    std::size_t i = 0;
    while (i + 1 < std::size(kKinds) && kKinds[i].type != type) ++i;
    return i;
}

struct Candidate {
    VkPhysicalDevice physical;
    std::string name;
    VkPhysicalDeviceType type;
    std::uint32_t version;
    std::optional<std::uint32_t> queue_family;

    std::string described() const {
        return text(name, " (", kKinds[rank(type)].text, ", Vulkan ", version_text(version), ")");
    }

    bool matches(const std::string &wish) const {
        for (const Kind &kind : kKinds) {
            if (*kind.word && wish == kind.word) return type == kind.type;
        }
        return lower(name).find(wish) != std::string::npos;
    }

    std::string objection(bool asked_for) const {
        if (version < kLeastVersion)
            return text(described(), " has not Vulkan ", version_text(kLeastVersion), ", which is needed");
        if (!queue_family) return text(described(), " has no queue that computes");
        if (type == VK_PHYSICAL_DEVICE_TYPE_CPU && !asked_for) {
            return text(described(),
                        " runs on the CPU, where halpool's CPU kernels are faster: set HALPOOL_VULKAN_DEVICE=cpu "
                        "to take it");
        }
        return "";
    }
};

// A queue that computes; one that does nothing but compute and copy where there is one: it does not wait for
// graphics.
std::optional<std::uint32_t> compute_queue_family(const Functions &vk, VkPhysicalDevice physical) {
    std::uint32_t count = 0;
    vk.GetPhysicalDeviceQueueFamilyProperties(physical, &count, nullptr);
    std::vector<VkQueueFamilyProperties> families(count);
    vk.GetPhysicalDeviceQueueFamilyProperties(physical, &count, families.data());
    std::optional<std::uint32_t> found;
    for (std::uint32_t i = 0; i < std::min<std::size_t>(count, families.size()); ++i) {
        const VkQueueFamilyProperties &family = families[i];
        if (family.queueCount == 0 || !(family.queueFlags & VK_QUEUE_COMPUTE_BIT)) continue;
        if (!(family.queueFlags & VK_QUEUE_GRAPHICS_BIT)) return i;
        if (!found) found = i;
    }
    return found;
}

std::string joined(const std::vector<std::string> &texts) {
    std::string all;
    for (const std::string &one : texts) all += (all.empty() ? "" : "; ") + one;
    return all;
}

// ---- Probing ----

// Thrown while there is no device yet.
struct Missing {
    std::string reason;
};

void create_instance(Device &device, std::uint32_t loader_version) {
    const bool validate = environment("HALPOOL_VULKAN_VALIDATION") == "1";
    if (validate && !has_layer(device.vk, kValidationLayer)) {
        throw Missing{text("HALPOOL_VULKAN_VALIDATION is set, but ", kValidationLayer,
                           " is not installed (Debian: vulkan-validationlayers)")};
    }
    VkDebugUtilsMessengerCreateInfoEXT messenger{};
    messenger.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT;
    messenger.messageSeverity =
        VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
    messenger.messageType =
        VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT;
    messenger.pfnUserCallback = on_validation_message;
    const VkValidationFeatureEnableEXT synchronisation =
        VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
    VkValidationFeaturesEXT checks{};
    checks.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT;
    checks.pNext = &messenger;
    checks.enabledValidationFeatureCount = 1;
    checks.pEnabledValidationFeatures = &synchronisation;
    const char *extensions[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME, VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME};

    VkApplicationInfo application{};
    application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
    application.pApplicationName = "halpool";
    application.apiVersion = std::min<std::uint32_t>(loader_version, VK_API_VERSION_1_3);
    VkInstanceCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
    info.pApplicationInfo = &application;
    if (validate) {
        info.pNext = &checks;
        info.enabledLayerCount = 1;
        info.ppEnabledLayerNames = &kValidationLayer;
        info.enabledExtensionCount = 2;
        info.ppEnabledExtensionNames = extensions;
    }
    const VkResult result = device.vk.CreateInstance(&info, nullptr, &device.instance);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER) {
        throw Missing{
            "the Vulkan loader finds no driver (ICD) that it can use: install the GPU's driver, and check "
            "VK_DRIVER_FILES "
            "and VK_ICD_FILENAMES if they are set"};
    }
    if (result != VK_SUCCESS) throw Missing{"vkCreateInstance failed: " + result_name(result)};
    const std::string lacking = device.vk.load_instance(device.instance);
    if (!lacking.empty()) throw Missing{lacking};

    if (validate) {  // the one chained to the instance hears only of its creation and its end
        const auto create = reinterpret_cast<PFN_vkCreateDebugUtilsMessengerEXT>(
            device.vk.GetInstanceProcAddr(device.instance, "vkCreateDebugUtilsMessengerEXT"));
        if (!create || create(device.instance, &messenger, nullptr, &device.messenger) != VK_SUCCESS) {
            throw Missing{"HALPOOL_VULKAN_VALIDATION is set, but the messages of validation cannot be received"};
        }
    }
}

void destroy_instance(Device &device) {
    if (!device.instance || !device.vk.DestroyInstance) return;
    if (device.messenger) {
        const auto destroy = reinterpret_cast<PFN_vkDestroyDebugUtilsMessengerEXT>(
            device.vk.GetInstanceProcAddr(device.instance, "vkDestroyDebugUtilsMessengerEXT"));
        if (destroy) destroy(device.instance, device.messenger, nullptr);
    }
    device.vk.DestroyInstance(device.instance, nullptr);
}

std::vector<Candidate> find_candidates(const Device &device, std::uint32_t loader_version) {
    std::uint32_t count = 0;
    VkResult result = device.vk.EnumeratePhysicalDevices(device.instance, &count, nullptr);
    std::vector<VkPhysicalDevice> physical(count);
    if (result == VK_SUCCESS && count > 0) {
        result = device.vk.EnumeratePhysicalDevices(device.instance, &count, physical.data());
    }
    if (result < 0) throw Missing{"vkEnumeratePhysicalDevices failed: " + result_name(result)};
    physical.resize(std::min<std::size_t>(count, physical.size()));
    std::vector<Candidate> candidates;
    for (const VkPhysicalDevice one : physical) {
        VkPhysicalDeviceProperties properties{};
        device.vk.GetPhysicalDeviceProperties(one, &properties);
        candidates.push_back({one, properties.deviceName, properties.deviceType,
                              std::min({properties.apiVersion, loader_version, std::uint32_t{VK_API_VERSION_1_3}}),
                              compute_queue_family(device.vk, one)});
    }
    return candidates;
}

Candidate choose(std::vector<Candidate> candidates) {
    if (candidates.empty()) throw Missing{"the Vulkan drivers that are installed find no device"};
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const Candidate &a, const Candidate &b) { return rank(a.type) < rank(b.type); });
    const std::string wish = environment("HALPOOL_VULKAN_DEVICE");
    std::vector<std::string> seen, objections;
    for (const Candidate &candidate : candidates) {
        seen.push_back(candidate.described());
        if (!wish.empty() && !candidate.matches(lower(wish))) continue;
        const std::string objection = candidate.objection(!wish.empty());
        if (objection.empty()) return candidate;
        objections.push_back(objection);
    }
    if (objections.empty()) {
        throw Missing{text("HALPOOL_VULKAN_DEVICE=", wish, " matches no Vulkan device; there is: ", joined(seen))};
    }
    throw Missing{joined(objections)};
}

void read_properties(Device &device, const Candidate &chosen) {
    device.physical = chosen.physical;
    device.queue_family = *chosen.queue_family;
    device.name = chosen.name;
    device.version = chosen.version;

    VkPhysicalDeviceMaintenance4Properties buffers{};
    buffers.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES;
    VkPhysicalDeviceMaintenance3Properties memory{};
    memory.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES;
    VkPhysicalDeviceProperties2 properties{};
    properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
    properties.pNext = &memory;
    VkPhysicalDeviceDriverProperties driver{};
    driver.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES;
    // A structure may be asked for only from the version on that has it.
    if (device.version >= VK_API_VERSION_1_2) memory.pNext = &driver;
    if (device.version >= VK_API_VERSION_1_3) driver.pNext = &buffers;
    device.vk.GetPhysicalDeviceProperties2(device.physical, &properties);
    device.limits = properties.properties.limits;
    device.most_memory_of_an_allocation = memory.maxMemoryAllocationSize;
    if (driver.pNext)
        device.most_memory_of_an_allocation = std::min(memory.maxMemoryAllocationSize, buffers.maxBufferSize);
    // Mesa's LP_MAX_TGSI_LOOP_ITERATIONS: one count for all loops of an invocation, with the last test of each.
    const bool nameless_cpu = !memory.pNext && chosen.type == VK_PHYSICAL_DEVICE_TYPE_CPU;
    if (driver.driverID == VK_DRIVER_ID_MESA_LLVMPIPE || nameless_cpu) device.loop_iterations = 65535;
    device.vk.GetPhysicalDeviceMemoryProperties(device.physical, &device.memory);
}

// Which features there are, and the device with all of them enabled.
void create_device(Device &device) {
    VkPhysicalDevice16BitStorageFeatures storage16{};
    storage16.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES;
    VkPhysicalDevice8BitStorageFeatures storage8{};
    storage8.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES;
    VkPhysicalDeviceShaderFloat16Int8Features small{};
    small.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES;
    VkPhysicalDeviceMaintenance4Features maintenance4{};
    maintenance4.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES;
    VkPhysicalDeviceFeatures2 found{};
    found.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    found.pNext = &storage16;
    if (device.version >= VK_API_VERSION_1_2) {
        storage16.pNext = &storage8;
        storage8.pNext = &small;
    }
    if (device.version >= VK_API_VERSION_1_3) small.pNext = &maintenance4;
    device.vk.GetPhysicalDeviceFeatures2(device.physical, &found);

    device.features.int8 = small.shaderInt8 && storage8.uniformAndStorageBuffer8BitAccess;
    device.features.int16 = found.features.shaderInt16 && storage16.uniformAndStorageBuffer16BitAccess;
    device.features.int64 = found.features.shaderInt64;
    device.features.float16 = small.shaderFloat16 && storage16.uniformAndStorageBuffer16BitAccess;
    device.features.float64 = found.features.shaderFloat64;
    device.features.local_size_id = maintenance4.maintenance4;

    // Of the core features only these: others, robustBufferAccess above all, cost speed.
    VkPhysicalDeviceFeatures enabled{};
    enabled.shaderInt16 = found.features.shaderInt16;
    enabled.shaderInt64 = found.features.shaderInt64;
    enabled.shaderFloat64 = found.features.shaderFloat64;
    found.features = enabled;

    const float priority = 1.0f;
    VkDeviceQueueCreateInfo queue{};
    queue.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
    queue.queueFamilyIndex = device.queue_family;
    queue.queueCount = 1;
    queue.pQueuePriorities = &priority;
    VkDeviceCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
    info.pNext = &found;
    info.queueCreateInfoCount = 1;
    info.pQueueCreateInfos = &queue;
    const VkResult result = device.vk.CreateDevice(device.physical, &info, nullptr, &device.handle);
    if (result != VK_SUCCESS) throw Missing{text(device.name, ": vkCreateDevice failed: ", result_name(result))};
    const std::string lacking = device.vk.load_device(device.handle);
    if (!lacking.empty()) throw Missing{text(device.name, ": ", lacking)};
    device.vk.GetDeviceQueue(device.handle, device.queue_family, 0, &device.queue);
}

struct Probe {
    std::unique_ptr<Device> device;  // null: `reason` says why
    std::string reason;
};

Probe find_device() {
    Probe probe;
    auto device = std::make_unique<Device>();
    try {
        const std::string lacking = device->vk.load_loader();
        if (!lacking.empty()) throw Missing{lacking};
        std::uint32_t loader_version = VK_API_VERSION_1_0;
        device->vk.EnumerateInstanceVersion(&loader_version);
        if (loader_version < kLeastVersion) {
            throw Missing{text("the Vulkan loader is of version ", version_text(loader_version), "; version ",
                               version_text(kLeastVersion), " is needed")};
        }
        create_instance(*device, loader_version);
        const Candidate chosen = choose(find_candidates(*device, loader_version));
        read_properties(*device, chosen);
        create_device(*device);
        probe.reason = chosen.described();
        probe.device = std::move(device);
    } catch (const Missing &missing) { probe.reason = missing.reason; } catch (const std::exception &exception) {
        probe.reason = exception.what();
    }
    if (device && !device->handle) destroy_instance(*device);
    return probe;
}

constexpr const char *kForked =
    "Vulkan was used before this process was forked, and drivers do not survive that: use it only in the child, "
    "or start "
    "the child with exec";

std::atomic<const Device *> chosen_device{nullptr};

// At exit, or when a shared library that holds us is closed: gives back the driver's threads and memory, and the
// messenger that points into our code. Made when the device is, so that it goes before what the driver made first. A
// lost device may hang, and a forked child's is its parent's: those are left.
struct Owner {
    Device *device;
    ~Owner() {
        if (!device || device->lost() || forked_after_use()) return;
        device->vk.DeviceWaitIdle(device->handle);
        destroy_kernels();
        destroy_idle_submissions();
        // What still comes, from destructors of the program's own, touches the device no more.
        device->lose("the program is ending");
        device->destroyed = true;
        device->vk.DestroyDevice(device->handle, nullptr);
        destroy_instance(*device);
    }
};

// Call only when not forked_after_use(): the parent's lock on the initialisation would be held for ever.
Probe &probe() {
    static Probe *const probe = [] {
        auto *const found = new Probe(find_device());
        chosen_device.store(found->device.get(), std::memory_order_release);
        static const Owner owner{found->device.get()};
        return found;
    }();
    return *probe;
}

}  // namespace

bool forked_after_use() {
    static std::atomic<pid_t> user{0};
    pid_t first = 0;
    const pid_t self = getpid();
    return !user.compare_exchange_strong(first, self) && first != self;
}

std::string version_text(std::uint32_t version) {
    return text(VK_API_VERSION_MAJOR(version), ".", VK_API_VERSION_MINOR(version));
}

void Device::check(VkResult result, const char *call) {
    if (result == VK_SUCCESS) return;
    if (result == VK_ERROR_DEVICE_LOST) {
        lose(text("the Vulkan device ", name, " was lost (", call,
                  ": VK_ERROR_DEVICE_LOST): its memory's contents are gone; start the program again to use it"));
        throw Failure{HALPOOL_ERROR_DEVICE, why_lost()};
    }
    throw Failure{status_of(result), text(call, " failed on ", name, ": ", result_name(result))};
}

void Device::lose(const std::string &why) {
    const std::lock_guard lock(loss_mutex_);
    if (lost()) return;
    why_lost_ = why;
    lost_.store(true, std::memory_order_release);
}

Device &device() {
    require(!forked_after_use(), HALPOOL_ERROR_DEVICE, kForked);
    Probe &found = probe();
    require(found.device != nullptr, HALPOOL_ERROR_UNSUPPORTED, "there is no Vulkan device: ", found.reason);
    require(!found.device->lost(), HALPOOL_ERROR_DEVICE, found.device->lost() ? found.device->why_lost() : "");
    return *found.device;
}

bool available(const char **reason) {
    if (forked_after_use()) {
        *reason = kForked;
        return false;
    }
    Probe &found = probe();
    *reason = found.reason.c_str();
    if (!found.device) return false;
    if (found.device->lost()) {
        *reason = found.device->why_lost().c_str();
        return false;
    }
    return true;
}

const Device *known_device() { return chosen_device.load(std::memory_order_acquire); }

void require_no_validation_message() {
    const std::string *message = first_validation_message.load();
    require(message == nullptr, HALPOOL_ERROR_INTERNAL, "Vulkan validation: ", message ? *message : "");
}

}  // namespace halpool::vulkan
