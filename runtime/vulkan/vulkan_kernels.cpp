#include "vulkan_kernels.hpp"

#include "failure.hpp"
#include "kernel_container.hpp"
#include "vulkan_memory.hpp"
#include "vulkan_submission.hpp"

#include <algorithm>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace halpool::vulkan {
namespace {

// ---- Capabilities ----

// The capabilities of SPIR-V that Halide's kernels can declare.
std::string lacking_capability(const Features &features, std::uint32_t capability) {
    switch (capability) {
    case 0:  // Matrix
    case 1:  // Shader
        return "";
    case 9: return features.float16 ? "" : "16-bit floats";
    case 10: return features.float64 ? "" : "64-bit floats";
    case 11: return features.int64 ? "" : "64-bit integers";
    case 22: return features.int16 ? "" : "16-bit integers";
    case 39: return features.int8 ? "" : "8-bit integers";
    case 4433:  // StorageBuffer16BitAccess, UniformAndStorageBuffer16BitAccess
    case 4434: return features.int16 || features.float16 ? "" : "16-bit storage buffers";
    case 4448:  // StorageBuffer8BitAccess, UniformAndStorageBuffer8BitAccess
    case 4449: return features.int8 ? "" : "8-bit storage buffers";
    default: return text("SPIR-V capability ", capability);
    }
}

// ---- Kernels and their pipelines ----

struct Launch {  // of one entry point
    std::array<std::uint32_t, 3> blocks, threads;
    std::uint32_t shared_bytes;
};

// An entry point on the device.
class Kernel {
public:
    Kernel(Device &device, EntryPoint entry);
    ~Kernel() { destroy(); }
    Kernel(const Kernel &) = delete;
    Kernel &operator=(const Kernel &) = delete;

    const EntryPoint &entry() const { return entry_; }
    VkPipelineLayout layout() const { return layout_; }
    VkDescriptorSetLayout set_layout() const { return set_layout_; }
    // Compiled at the first launch with such sizes. Throws Failure.
    VkPipeline pipeline(const Launch &launch);

private:
    void check_limits(const Launch &launch) const;

    // The values of specialisation constants: the work group's sizes, and the length of the shared array.
    using Sizes = std::array<std::uint32_t, 4>;
    VkPipeline compile(const Sizes &sizes);
    void destroy();

    Device &device_;
    EntryPoint entry_;
    VkDescriptorSetLayout set_layout_ = VK_NULL_HANDLE;
    VkPipelineLayout layout_ = VK_NULL_HANDLE;
    VkShaderModule module_ = VK_NULL_HANDLE;
    std::mutex mutex_;
    std::map<Sizes, VkPipeline> pipelines_;
};

Kernel::Kernel(Device &device, EntryPoint entry) : device_(device), entry_(std::move(entry)) {
    for (const std::uint32_t capability : entry_.capabilities) {
        const std::string lacking = lacking_capability(device.features, capability);
        require(lacking.empty(), HALPOOL_ERROR_UNSUPPORTED, "the kernel needs ", lacking, ", which ", device.name,
                " has not");
    }
    require(entry_.local_size_constants[0] == 0 || device.features.local_size_id, HALPOOL_ERROR_UNSUPPORTED,
            "the kernel needs work groups of variable size, which ", device.name, " has not");
    require(entry_.storage_buffers <= kMostStorageBuffers, HALPOOL_ERROR_INTERNAL, "a Vulkan kernel has ",
            entry_.storage_buffers, " buffers");

    const Functions &vk = device.vk;
    std::vector<VkDescriptorSetLayoutBinding> bindings;
    for (std::uint32_t i = 0; i < entry_.uniform_buffers + entry_.storage_buffers; ++i) {
        const bool uniform = i < entry_.uniform_buffers;
        bindings.push_back({i, uniform ? VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1,
                            VK_SHADER_STAGE_COMPUTE_BIT, nullptr});
    }
    VkDescriptorSetLayoutCreateInfo set{};
    set.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO;
    set.bindingCount = static_cast<std::uint32_t>(bindings.size());
    set.pBindings = bindings.data();
    VkPipelineLayoutCreateInfo layout{};
    layout.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO;
    layout.setLayoutCount = 1;
    layout.pSetLayouts = &set_layout_;
    VkShaderModuleCreateInfo module{};
    module.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
    module.codeSize = entry_.code.size() * sizeof(std::uint32_t);
    module.pCode = entry_.code.data();
    try {
        device.check(vk.CreateDescriptorSetLayout(device.handle, &set, nullptr, &set_layout_),
                     "vkCreateDescriptorSetLayout");
        device.check(vk.CreatePipelineLayout(device.handle, &layout, nullptr, &layout_), "vkCreatePipelineLayout");
        device.check(vk.CreateShaderModule(device.handle, &module, nullptr, &module_), "vkCreateShaderModule");
    } catch (...) {
        destroy();
        throw;
    }
    entry_.code = {};  // the driver has its copy
}

void Kernel::destroy() {
    const Functions &vk = device_.vk;
    for (const auto &[sizes, pipeline] : pipelines_) vk.DestroyPipeline(device_.handle, pipeline, nullptr);
    vk.DestroyShaderModule(device_.handle, module_, nullptr);
    vk.DestroyPipelineLayout(device_.handle, layout_, nullptr);
    vk.DestroyDescriptorSetLayout(device_.handle, set_layout_, nullptr);
}

void Kernel::check_limits(const Launch &launch) const {
    const VkPhysicalDeviceLimits &limits = device_.limits;
    std::uint64_t threads = 1;
    for (std::size_t i = 0; i < 3; ++i) {
        require(launch.blocks[i] <= limits.maxComputeWorkGroupCount[i], HALPOOL_ERROR_UNSUPPORTED,
                "the kernel needs ", launch.blocks[i], " work groups along axis ", i, ", ", device_.name,
                " allows ", limits.maxComputeWorkGroupCount[i]);
        require(launch.threads[i] <= limits.maxComputeWorkGroupSize[i], HALPOOL_ERROR_UNSUPPORTED,
                "the kernel needs ", launch.threads[i], " invocations of a work group along axis ", i, ", ",
                device_.name, " allows ", limits.maxComputeWorkGroupSize[i]);
        threads *= launch.threads[i];
    }
    require(threads <= limits.maxComputeWorkGroupInvocations, HALPOOL_ERROR_UNSUPPORTED, "the kernel needs ",
            threads, " invocations of a work group, ", device_.name, " allows ",
            limits.maxComputeWorkGroupInvocations);
    const std::uint64_t shared = std::max<std::uint64_t>(launch.shared_bytes, entry_.shared_bytes);
    require(shared <= limits.maxComputeSharedMemorySize, HALPOOL_ERROR_UNSUPPORTED, "the kernel needs ", shared,
            " bytes of shared memory, ", device_.name, " allows ", limits.maxComputeSharedMemorySize);
}

VkPipeline Kernel::pipeline(const Launch &launch) {
    check_limits(launch);
    Sizes sizes{};
    if (entry_.local_size_constants[0] != 0)
        std::copy(launch.threads.begin(), launch.threads.end(), sizes.begin());
    if (entry_.shared_length_constant != 0) {
        const std::uint64_t bytes =
            std::max<std::uint64_t>(launch.shared_bytes, entry_.shared_bytes) - entry_.shared_bytes;
        // SPIR-V has no arrays of length 0.
        sizes[3] = std::max(static_cast<std::uint32_t>(bytes / entry_.shared_element_bytes), 1u);
    }
    const std::lock_guard lock(mutex_);
    const auto found = pipelines_.find(sizes);
    if (found != pipelines_.end()) return found->second;
    const VkPipeline made = compile(sizes);
    pipelines_.emplace(sizes, made);
    return made;
}

VkPipeline Kernel::compile(const Sizes &sizes) {
    const auto &[x, y, z] = entry_.local_size_constants;
    const Sizes constants{x, y, z, entry_.shared_length_constant};
    std::array<VkSpecializationMapEntry, 4> map{};
    std::uint32_t count = 0;
    for (std::uint32_t i = 0; i < 4; ++i) {
        if (constants[i] != 0) map[count++] = {constants[i], i * 4, 4};
    }
    const VkSpecializationInfo specialisation{count, map.data(), sizeof sizes, sizes.data()};
    VkComputePipelineCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
    info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
    info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
    info.stage.module = module_;
    info.stage.pName = entry_.name.c_str();
    info.stage.pSpecializationInfo = count > 0 ? &specialisation : nullptr;
    info.layout = layout_;
    VkPipeline pipeline = VK_NULL_HANDLE;
    device_.check(device_.vk.CreateComputePipelines(device_.handle, VK_NULL_HANDLE, 1, &info, nullptr, &pipeline),
                  "vkCreateComputePipelines");
    return pipeline;
}

// The entry points of one kernel object. Plans do not own it: once loaded it lives as long as the device.
using Program = std::vector<std::unique_ptr<Kernel>>;

struct Programs {
    std::mutex mutex;
    std::vector<std::unique_ptr<Program>> all;
};
Programs &programs() {
    static Programs *const programs = new Programs;  // leaked: no order of destructors matters
    return *programs;
}

Kernel &find_kernel(const Program &program, const char *name) {
    for (const auto &kernel : program) {
        if (kernel->entry().name == name) return *kernel;
    }
    throw Failure{HALPOOL_ERROR_INTERNAL, text("a Vulkan kernel has no entry point ", name)};
}

// Loads the program on first use into the kernel object's own variable, which no call changes again.
void load(Device &device, void **state, const char *code, std::size_t bytes) {
    const std::lock_guard lock(programs().mutex);
    if (*state != nullptr) return;
    auto program = std::make_unique<Program>();
    for (EntryPoint &entry : decode_kernel_container(code, bytes)) {
        program->push_back(std::make_unique<Kernel>(device, std::move(entry)));
    }
    programs().all.push_back(std::move(program));
    *state = programs().all.back().get();
}

// ---- A call of a kernel's host part ----

// What user_context points to in our hooks. Halide's no_asserts drops the check of the hooks' results: the first
// failure is kept here, and the hooks after it do nothing.
struct Call {
    Device &device;
    const DeviceLaunch &launch;
    std::optional<SubmissionLease> submission;
    std::exception_ptr failure;
};

template <class Body>
int hook(void *user_context, Body body) noexcept {
    constexpr int failed = -1;
    auto *call = static_cast<Call *>(user_context);
    if (!call || call->failure) return failed;
    try {
        body(*call);
        return 0;
    } catch (...) {
        call->failure = std::current_exception();
        return failed;
    }
}

VkDescriptorBufferInfo bound(const Call &call, const KernelBuffer &buffer) {
    const auto *range = reinterpret_cast<const DeviceRange *>(static_cast<std::uintptr_t>(buffer.device));
    require(range && (range == call.launch.input || range == call.launch.output), HALPOOL_ERROR_INTERNAL,
            "a Vulkan kernel has a buffer that is neither its input nor its output");
    const auto *memory = reinterpret_cast<const Memory *>(range->memory);
    return {memory->allocation.buffer(), range->offset, range->bytes};
}

void dispatch(Call &call, Kernel &kernel, const Launch &launch, const std::size_t *sizes, void *const *arguments,
              const std::int8_t *is_buffer) {
    Dispatch dispatch{};
    dispatch.pipeline = kernel.pipeline(launch);
    if (call.launch.prepare_only || launch.blocks[0] == 0 || launch.blocks[1] == 0 || launch.blocks[2] == 0)
        return;
    std::vector<std::byte> scalars;
    for (std::size_t i = 0; sizes[i] != 0; ++i) {
        if (is_buffer[i]) {
            require(dispatch.storage_count < kernel.entry().storage_buffers, HALPOOL_ERROR_INTERNAL,
                    "a Vulkan kernel is called with too many buffers");
            dispatch.storage[dispatch.storage_count++] =
                bound(call, *static_cast<const KernelBuffer *>(arguments[i]));
        } else {
            const auto *bytes = static_cast<const std::byte *>(arguments[i]);
            scalars.insert(scalars.end(), bytes, bytes + sizes[i]);
        }
    }
    require(dispatch.storage_count == kernel.entry().storage_buffers &&
                scalars.empty() == (kernel.entry().uniform_buffers == 0),
            HALPOOL_ERROR_INTERNAL, "a Vulkan kernel is called with other arguments than its code takes");
    dispatch.layout = kernel.layout();
    dispatch.set_layout = kernel.set_layout();
    dispatch.scalars = scalars.data();
    dispatch.scalar_bytes = scalars.size();
    dispatch.blocks = launch.blocks;
    if (!call.submission) call.submission.emplace(call.device);
    (*call.submission)->dispatch(dispatch);
}

void check_range(const Device &device, const DeviceRange *range, const char *name) {
    require(range != nullptr && range->memory != nullptr, HALPOOL_ERROR_INVALID_ARGUMENT, "the ", name,
            " is not memory of the Vulkan device (halpool_memory_create)");
    const std::size_t bytes = reinterpret_cast<const Memory *>(range->memory)->bytes;
    require(range->offset <= bytes && range->bytes <= bytes - range->offset, HALPOOL_ERROR_INVALID_ARGUMENT,
            "the ", name, " (", range->bytes, " bytes at offset ", range->offset,
            ") does not lie in its memory of ", bytes, " bytes");
    require(range->bytes > 0, HALPOOL_ERROR_INVALID_ARGUMENT, "the ", name, " is empty");
    require(range->bytes <= device.limits.maxStorageBufferRange, HALPOOL_ERROR_UNSUPPORTED, "the ", name, " has ",
            range->bytes, " bytes, a buffer of a kernel on ", device.name, " at most ",
            device.limits.maxStorageBufferRange);
    require(range->offset % device.limits.minStorageBufferOffsetAlignment == 0, HALPOOL_ERROR_INVALID_ARGUMENT,
            "the ", name, " lies at offset ", range->offset, ", ", device.name, " needs a multiple of ",
            device.limits.minStorageBufferOffsetAlignment);
}

std::array<std::uint32_t, 3> extents(int x, int y, int z) {
    require(x >= 0 && y >= 0 && z >= 0, HALPOOL_ERROR_INTERNAL, "a Vulkan kernel asks for ", x, " x ", y, " x ", z,
            " work groups");
    return {static_cast<std::uint32_t>(x), static_cast<std::uint32_t>(y), static_cast<std::uint32_t>(z)};
}

}  // namespace

void destroy_kernels() {
    const std::lock_guard lock(programs().mutex);
    programs().all.clear();
}

void run_kernel(Device &device, const DeviceLaunch &launch) {
    require(launch.stream == nullptr, HALPOOL_ERROR_INVALID_ARGUMENT, "a stream was given: Vulkan has none");
    if (!launch.prepare_only) {
        check_range(device, launch.input, "input");
        check_range(device, launch.output, "output");
    }
    Call call{device, launch, std::nullopt, nullptr};
    const void *user_context = &call;
    launch.arguments[kUserContext] = &user_context;
    const int code = launch.entry(launch.arguments);
    launch.arguments[kUserContext] = nullptr;
    if (call.failure) std::rethrow_exception(call.failure);
    require(code == 0, HALPOOL_ERROR_INTERNAL, "a Vulkan kernel failed with code ", code);
    if (call.submission) (*call.submission)->finish();
}

}  // namespace halpool::vulkan

// ---- What kernels call, with the names that the build gives Halide's (the signatures are Halide 21's) ----

using namespace halpool;
using namespace halpool::vulkan;

extern "C" {

int halpool_vulkan_initialize_kernels(void *user_context, void **state, const char *code, int bytes) {
    return hook(user_context, [&](Call &call) {
        require(state && code && bytes > 0, HALPOOL_ERROR_INTERNAL, "a Vulkan kernel has no code");
        load(call.device, state, code, static_cast<std::size_t>(bytes));
    });
}

int halpool_vulkan_run(void *user_context, void *state, const char *entry_name, int blocks_x, int blocks_y,
                       int blocks_z, int threads_x, int threads_y, int threads_z, int shared_bytes,
                       std::size_t sizes[], void *arguments[], std::int8_t is_buffer[]) {
    return hook(user_context, [&](Call &call) {
        require(state != nullptr, HALPOOL_ERROR_INTERNAL, "a Vulkan kernel runs before it is loaded");
        const Launch launch{extents(blocks_x, blocks_y, blocks_z), extents(threads_x, threads_y, threads_z),
                            static_cast<std::uint32_t>(std::max(shared_bytes, 0))};
        dispatch(call, find_kernel(*static_cast<Program *>(state), entry_name), launch, sizes, arguments,
                 is_buffer);
    });
}

// At the end of each call of the kernel. Programs are kept.
void halpool_vulkan_finalize_kernels(void *, void *) {}

// Halide passes it on to copy_to_device, and needs no more of it.
const void *halpool_vulkan_device_interface() { return nullptr; }

// The data is on the device, always.
int halpool_vulkan_copy_to_device(void *, KernelBuffer *, const void *) { return 0; }

}  // extern "C"
