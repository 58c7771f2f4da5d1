#include "cuda_memory.hpp"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <memory>

namespace halpool::cuda {
namespace {

// ---- Whose memory a pointer points to ------------------------------------------------------------------------

// One call of the driver for all. What it does not know it leaves at zero.
struct PointerFacts {
    CUcontext context = nullptr;
    unsigned int type = 0;
    unsigned int managed = 0;
    int ordinal = 0;
    CUdeviceptr start = 0;  // of the allocation
    std::size_t bytes = 0;
};

PointerFacts facts_of(const Driver &driver, CUdeviceptr pointer) {
    PointerFacts facts;
    CUpointer_attribute attributes[] = {CU_POINTER_ATTRIBUTE_CONTEXT,          CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                        CU_POINTER_ATTRIBUTE_IS_MANAGED,       CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
                                        CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, CU_POINTER_ATTRIBUTE_RANGE_SIZE};
    void *values[] = {&facts.context, &facts.type, &facts.managed, &facts.ordinal, &facts.start, &facts.bytes};
    const CUresult result = driver.cuPointerGetAttributes(std::size(attributes), attributes, values, pointer);
    // Some drivers report a pointer that is not theirs as an error, the others as success with zeros.
    if (result == CUDA_ERROR_INVALID_VALUE || result == CUDA_ERROR_INVALID_CONTEXT) return {};
    check(driver, result, "cuPointerGetAttributes");
    return facts;
}

struct Place {
    const Device *device;
    bool every_device;  // can reach it: managed memory, and host memory that is mapped
};

void require_within(const char *name, const DeviceRange &range, std::uint64_t offset, std::uint64_t bytes) {
    require(offset <= bytes && range.bytes <= bytes - offset, HALPOOL_ERROR_INVALID_ARGUMENT, "the ", name,
            " needs ", range.bytes, " bytes from offset ", offset, " of its memory, which has ", bytes);
}

Place place_of(const Installation &cuda, const char *name, const DeviceRange &range) {
    if (range.memory) {
        const Memory &memory = memory_of(range.memory);
        require_within(name, range, range.offset, memory.bytes);
        return {memory.device, false};
    }

    const CUdeviceptr address = address_of(range);
    const PointerFacts facts = facts_of(cuda.driver, address);
    const auto pointer = reinterpret_cast<const void *>(address);
    require(facts.type != 0, HALPOOL_ERROR_INVALID_ARGUMENT, "the ", name, "'s pointer, ", pointer,
            ", is not one of CUDA: is it of host memory, or was it freed?");
    if (facts.bytes != 0) require_within(name, range, address - facts.start, facts.bytes);
    require(facts.ordinal >= 0 && static_cast<std::size_t>(facts.ordinal) < cuda.devices.size(),
            HALPOOL_ERROR_DEVICE, "the ", name, "'s pointer, ", pointer, ", is on device ", facts.ordinal,
            ", which the driver does not list");

    const Device &device = cuda.devices[static_cast<std::size_t>(facts.ordinal)];
    const bool every_device = facts.managed || facts.type == CU_MEMORYTYPE_HOST;
    // Memory of cuMemMap and of pools has no context.
    require(every_device || !facts.context || facts.context == device.primary_context(cuda.driver),
            HALPOOL_ERROR_INVALID_ARGUMENT, "the ", name, "'s pointer, ", pointer,
            ", is of a CUDA context other than the primary context of device ", device.ordinal,
            ", which halpool works in");
    return {&device, every_device};
}

// Registered host memory can have another address on the device, which the caller must pass then.
void require_mapped(const Installation &cuda, const char *name, const DeviceRange &range) {
    if (range.memory) return;
    const CUdeviceptr address = address_of(range);
    CUdeviceptr on_device = 0;
    CUpointer_attribute attribute = CU_POINTER_ATTRIBUTE_DEVICE_POINTER;
    void *value = &on_device;
    const CUresult result = cuda.driver.cuPointerGetAttributes(1, &attribute, &value, address);
    require(result == CUDA_SUCCESS && on_device == address, HALPOOL_ERROR_INVALID_ARGUMENT, "the ", name,
            "'s pointer, ", reinterpret_cast<const void *>(address),
            ", is of host memory that the device does not see at that address");
}

// ---- Whether there is CUDA in this process -------------------------------------------------------------------

using PointerQuery = decltype(Driver::cuPointerGetAttributes);

// How many libraries the process has loaded so far. It takes 16 ns; asking for a library that is not there, 30 us.
unsigned long long libraries_loaded() {
    unsigned long long count = 0;
    dl_iterate_phdr(
        [](dl_phdr_info *info, std::size_t, void *result) {
            *static_cast<unsigned long long *>(result) = info->dlpi_adds;
            return 1;
        },
        &count);
    return count;
}

// The driver's function where something has loaded the driver, else null.
PointerQuery loaded_query() {
    static std::atomic<PointerQuery> query{nullptr};
    static std::atomic<unsigned long long> absent_at{0};
    if (const PointerQuery known = query.load(std::memory_order_acquire)) return known;
    const unsigned long long now = libraries_loaded();
    if (absent_at.load(std::memory_order_relaxed) == now) return nullptr;
    for (const char *name : kDriverLibraries)
        if (void *const library = dlopen(name, RTLD_LAZY | RTLD_NOLOAD))
            query.store(reinterpret_cast<PointerQuery>(dlsym(library, "cuPointerGetAttributes")),
                        std::memory_order_release);
    absent_at.store(now, std::memory_order_relaxed);
    return query.load(std::memory_order_acquire);
}

}  // namespace

bool is_device_pointer(const void *pointer) noexcept {
    if (!pointer || forked_after_start()) return false;
    const PointerQuery query = loaded_query();
    if (!query) return false;
    unsigned int type = 0, managed = 0;
    CUpointer_attribute attributes[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_IS_MANAGED};
    void *values[] = {&type, &managed};
    // Where nobody has called cuInit this is CUDA_ERROR_NOT_INITIALIZED.
    const CUresult result =
        query(std::size(attributes), attributes, values, reinterpret_cast<CUdeviceptr>(pointer));
    return result == CUDA_SUCCESS && (type == CU_MEMORYTYPE_DEVICE || managed);
}

const Device &device_of(const Installation &cuda, const DeviceRange &input, const DeviceRange &output) {
    const Place in = place_of(cuda, "input", input), out = place_of(cuda, "output", output);
    if (!in.every_device && !out.every_device) {
        require(in.device == out.device, HALPOOL_ERROR_INVALID_ARGUMENT, "the input is on CUDA device ",
                in.device->ordinal, " and the output on device ", out.device->ordinal, ": they must be on one");
        return *in.device;
    }
    const Device &device = !in.every_device ? *in.device : !out.every_device ? *out.device : cuda.current_device();
    const CurrentContext current(cuda.driver, device.primary_context(cuda.driver));
    if (in.every_device) require_mapped(cuda, "input", input);
    if (out.every_device) require_mapped(cuda, "output", output);
    return device;
}

DeviceMemory *create_memory(std::size_t bytes) {
    const Installation &cuda = usable_installation();
    const Device &device = cuda.current_device();
    auto memory = std::make_unique<Memory>(Memory{&device, 0, bytes});
    const CurrentContext current(cuda.driver, device.primary_context(cuda.driver));
    // The driver refuses to allocate nothing, but an empty tensor has its place too.
    check(cuda.driver, cuda.driver.cuMemAlloc_v2(&memory->address, std::max<std::size_t>(bytes, 1)), "cuMemAlloc");
    return reinterpret_cast<DeviceMemory *>(memory.release());
}

void destroy_memory(DeviceMemory *handle) noexcept {
    if (!handle) return;
    const std::unique_ptr<Memory> memory(reinterpret_cast<Memory *>(handle));
    try {
        const Installation &cuda = usable_installation();
        const CurrentContext current(cuda.driver, memory->device->primary_context(cuda.driver));
        cuda.driver.cuMemFree_v2(memory->address);
    } catch (...) {  // after a fork, a lost device, or the driver's own end: the memory is gone already
    }
}

void upload(const Memory &memory, std::size_t offset, const void *from, std::size_t bytes) {
    const Installation &cuda = usable_installation();
    require_within("upload", {nullptr, 0, 0, bytes}, offset, memory.bytes);
    if (bytes == 0) return;
    const CurrentContext current(cuda.driver, memory.device->primary_context(cuda.driver));
    const auto synchronise = [&] { check(cuda.driver, cuda.driver.cuCtxSynchronize(), "cuCtxSynchronize"); };
    synchronise();
    check(cuda.driver, cuda.driver.cuMemcpyHtoD_v2(memory.address + offset, from, bytes), "cuMemcpyHtoD");
    synchronise();  // the copy may return when `from` is read but the memory not yet written
}

void download(const Memory &memory, std::size_t offset, void *to, std::size_t bytes) {
    const Installation &cuda = usable_installation();
    require_within("download", {nullptr, 0, 0, bytes}, offset, memory.bytes);
    if (bytes == 0) return;
    const CurrentContext current(cuda.driver, memory.device->primary_context(cuda.driver));
    check(cuda.driver, cuda.driver.cuCtxSynchronize(), "cuCtxSynchronize");
    check(cuda.driver, cuda.driver.cuMemcpyDtoH_v2(to, memory.address + offset, bytes), "cuMemcpyDtoH");
}

}  // namespace halpool::cuda
