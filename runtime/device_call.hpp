// One device kernel bound to one problem: everything of the call that does not depend on the data, prepared once.
#ifndef HALPOOL_RUNTIME_DEVICE_CALL_HPP
#define HALPOOL_RUNTIME_DEVICE_CALL_HPP

#include "device_api.hpp"
#include "problem.hpp"

#include <array>
#include <cstdint>
#include <string>

namespace halpool {

// Empty when the device's limits allow this kernel on this problem.
std::string limits_objection(const KernelRow &row, const Problem &problem, const DeviceLimits &limits);

class DeviceCall {
public:
    // Loads the kernel's code onto the device. Throws Failure.
    DeviceCall(const Problem &problem, const KernelRow &row, const DeviceApi &device);

    // Whether data of this address, or offset, may be passed.
    bool takes_address(std::uint64_t address) const { return address % alignment_bytes_ == 0; }

    // The ranges hold the whole tensors. Throws Failure.
    void run(const DeviceRange &input, const DeviceRange &output, void *stream) const;

private:
    void launch(const DeviceRange *input, const DeviceRange *output, std::int64_t slices, void *stream) const;

    const DeviceApi &device_;
    KernelEntry entry_;
    bool nhwc_;
    std::uint64_t alignment_bytes_;
    // The tensors without their outermost extent: a call computes a run of outer slices (planes, or images of NHWC).
    std::array<std::int64_t, 3> input_extents_, output_extents_;
    std::int64_t slices_, slices_per_launch_;
    std::array<std::int32_t, 8> window_;  // kernel h, w, stride h, w, pad top, left, dilation h, w
    std::array<std::int32_t, 4> divisor_;  // begin h, w, end h, w
    std::int32_t border_;
    const DTypeFacts &input_element_, &output_element_;
    std::int32_t own_divisor_;
    float fixed_divisor_;
    std::array<std::int32_t, 2> whole_divisor_;  // its lower and its upper half
    float scale_;
    std::array<std::int32_t, 2> zeros_;  // of the input and the output
};

}  // namespace halpool

#endif
