// The device code that Halide 21 puts into a Vulkan kernel's host part: SPIR-V modules of one entry point each,
// with a table of what each binds. Written by CodeGen_Vulkan_Dev::encode_module and SPIRV_Emitter::encode_header.
#ifndef HALPOOL_RUNTIME_VULKAN_KERNEL_CONTAINER_HPP
#define HALPOOL_RUNTIME_VULKAN_KERNEL_CONTAINER_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace halpool::vulkan {

struct EntryPoint {
    std::string name;
    std::uint32_t uniform_buffers;  // 1: all scalars, packed one behind the other, at binding 0; else 0
    std::uint32_t storage_buffers;  // at the bindings after it, in the order of the arguments

    // Specialisation constants for the three sizes of the work group; 0: the sizes are fixed in the code.
    std::array<std::uint32_t, 3> local_size_constants;
    std::uint64_t shared_bytes;  // of the arrays of fixed size
    // Of the array whose length the launch decides: the constant for the number of its elements. 0: there is none.
    std::uint32_t shared_length_constant;
    std::uint32_t shared_element_bytes;

    std::vector<std::uint32_t> code;
    std::vector<std::uint32_t> capabilities;  // SpvCapability, as the code declares them
};

// Throws Failure when it is not such a container.
std::vector<EntryPoint> decode_kernel_container(const void *data, std::size_t bytes);

}  // namespace halpool::vulkan

#endif
