// A kernel of the forward pass, bound to one problem.
#ifndef HALPOOL_RUNTIME_KERNEL_CALL_HPP
#define HALPOOL_RUNTIME_KERNEL_CALL_HPP

#include "cpu_call.hpp"
#include "divisors.hpp"
#include "problem.hpp"
#include "workspaces.hpp"

#include <halpool/internal/kernel_convention.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace halpool {

// Whether planes without borders may be one high plane to a kernel, as far as its windows allow: boxes are then rows of that.
enum class PlanesOf { all_together, one_each };

class KernelCall final : public CpuCall {
public:
    KernelCall(const Problem &problem, const KernelRow &row, PlanesOf planes = PlanesOf::all_together);

    const Shares &shares() const override { return shares_; }
    bool takes_output(const void *output) const override { return reinterpret_cast<std::uintptr_t>(output) % alignment_bytes_ == 0; }

    int run(const void *input, void *output) const override;
    int run(const void *input, void *output, const Box &box) const override;

private:
    // Columns of the output, for a piece that has not all of them.
    struct Columns {
        std::int64_t begin, end;
    };
    // What one entry of the kernel computes, in the kernel's terms.
    struct Piece {
        std::array<KernelDimension, 4> input_dimensions, output_dimensions;
        std::int64_t input_offset, output_offset;  // of the first element, in bytes
        std::int32_t border;
    };
    Piece piece(const Box &box, Columns columns, Border border) const;
    // Calls visit(piece) for the pieces that make up the box, until one returns other than 0; returns that.
    template <class Visit>
    int for_each_piece(const Box &box, const Visit &visit) const;
    template <class Visit>
    int for_each_masked_piece(const Box &box, const Visit &visit) const;
    int enter(const void *input, void *output, const Piece &piece, void *workspace) const;
    template <class Run>
    int with_workspace(const Run &run) const;
    int finish(int status) const;
    void prepare_gaps(const Problem &problem);
    std::int64_t outer_offset(std::int64_t outer, const KernelDimension &dimension, std::int64_t image) const;
    void prepare_arguments();
    void prepare_whole();
    void find_clamped_rows(const Problem &problem, std::int64_t beyond = 0);
    void find_inner_columns(const Problem &problem, std::int64_t lanes);
    void prepare_large(const Problem &problem, const KernelRow &row);
    void prepare_lines(const Problem &problem, const KernelRow &row);
    void prepare_walk(const Problem &problem, const KernelRow &row);

    KernelEntry entry_;
    bool streams_;
    const DTypeFacts &input_element_, &output_element_;
    bool input_words_, output_words_;  // KernelRow::pairs
    std::uintptr_t alignment_bytes_;
    KernelLayout layout_;
    bool lanes_along_rows_;  // else along the channels, where no vector can leave a row
    Shares shares_;
    std::int64_t most_outer_;  // planes, or images, of one call of the kernel
    std::int64_t outer_, rows_, channels_;  // of the output; channels_ is 1 where a box has all of them
    std::array<KernelDimension, 4> input_dimensions_, output_dimensions_;
    // Planar tensors with gaps between their images: planes of an image, and from an image to the next; 0: planes are evenly spaced.
    std::int64_t image_planes_ = 0, input_image_ = 0, output_image_ = 0;
    std::array<std::int32_t, 8> window_;  // kernel h, w, stride h, w, pad top, left, dilation h, w
    Border border_;
    // Rows of the first outer slice, and of the last, that must run as Border::clamped, because what is read beside
    // them would lie outside the tensor.
    std::int64_t clamped_head_ = 0, clamped_tail_ = 0;
    // Border::masked only: the columns whose windows leave the input above and below at most; empty: not worth a split.
    Columns inner_columns_{0, 0};
    // Planar kernels that walk down the plane: at most so many rows before the next strip of columns; 0: other kernels.
    std::int64_t walk_rows_ = 0;
    // Kernels of large windows and of lines: at most so many columns of the output in one call; 0: other kernels.
    std::int64_t most_columns_ = 0;
    std::unique_ptr<Workspaces> workspaces_;
    std::int64_t columns_;
    std::int32_t pitch_ = 1;
    std::int32_t input_zero_, output_zero_;
    double positive_zero_ = 0;  // as well the bits of a float's, and of an integer's
    std::unique_ptr<const Divisors> divisors_;
    KernelBuffer input_, output_;  // without the data
    std::array<const void *, kKernelArgumentCount> arguments_;  // all but the input, the output, the border and the workspace
    // The pieces of the whole output, where they are few: for small problems what is left of a call is the kernel.
    std::vector<Piece> whole_;
};

}  // namespace halpool

#endif
