// A kernel on what is laid out for it first: some rows, or some planes, at a time, in dense memory that stays in the cache.
#ifndef HALPOOL_RUNTIME_STAGED_CALL_HPP
#define HALPOOL_RUNTIME_STAGED_CALL_HPP

#include "cpu_call.hpp"
#include "kernel_call.hpp"
#include "problem.hpp"
#include "workspaces.hpp"

#include <cstdint>
#include <memory>

namespace halpool {

class StagedCall : public CpuCall {
public:
    const Shares &shares() const final { return inner_.shares(); }
    bool takes_output(const void *output) const final { return inner_.takes_output(output); }
    int run(const void *input, void *output) const final { return run(input, output, shares().all()); }
    int run(const void *input, void *output, const Box &box) const final;

protected:
    // Of a plane, or an image, of what the kernel reads: rows, and of those that are channels-last, channels.
    struct Rows {
        std::int64_t outer, begin, end, channel_begin, channel_end;
    };

    // staged: what the row computes, of dense memory. Throws std::bad_alloc.
    StagedCall(const Problem &staged, const KernelRow &row);

    // Writes rows of `width` pixels to `to`.
    virtual void stage(const void *input, const Rows &rows, void *to) const = 0;

    bool nhwc() const { return nhwc_; }
    std::int64_t channels() const { return channels_; }
    std::int64_t pixel() const { return pixel_; }
    std::int64_t width() const { return width_; }
    std::int64_t element_bytes() const { return element_bytes_; }

private:
    KernelCall inner_;
    bool nhwc_;
    std::int64_t element_bytes_, channels_;
    std::int64_t pixel_;                      // elements: one, or all channels
    std::int64_t height_, width_;             // of a plane that is staged
    std::int64_t stride_h_, pad_top_, reach_h_;
    std::int64_t slack_;                      // elements beside it that kernels may read
    std::int64_t part_planes_, part_rows_;    // of the output, or images, at once; of parts of several, all rows
    std::unique_ptr<Workspaces> workspaces_;
};

}  // namespace halpool

#endif
