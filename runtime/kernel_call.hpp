// One kernel bound to one problem: everything of the call that does not depend on the data, prepared once.
#ifndef HALPOOL_RUNTIME_KERNEL_CALL_HPP
#define HALPOOL_RUNTIME_KERNEL_CALL_HPP

#include "problem.hpp"
#include "shares.hpp"
#include "workspaces.hpp"

#include <halpool/internal/kernel_convention.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

namespace halpool {

// Divisors or reciprocals, of the type that a kernel takes.
class FactorTable {
public:
    FactorTable() = default;
    template <class Factor>
    FactorTable(const KernelType &type, const std::vector<Factor> &factors) : type_(type), bytes_(factors.size() * sizeof(Factor)) {
        std::memcpy(bytes_.data(), factors.data(), bytes_.size());
    }
    const KernelType &type() const { return type_; }
    const void *data() const { return bytes_.data(); }

private:
    KernelType type_ = kKernelFloat32;
    std::vector<unsigned char> bytes_;
};

class KernelCall {
public:
    KernelCall(const Problem &problem, const KernelRow &row);
    KernelCall(const KernelCall &) = delete;  // the buffers point into this object
    KernelCall &operator=(const KernelCall &) = delete;

    // How the output may be cut: no other boxes may be run.
    const Shares &shares() const { return shares_; }

    // Whether the kernel can write there; run() needs it.
    bool takes_output(const void *output) const { return reinterpret_cast<std::uintptr_t>(output) % alignment_bytes_ == 0; }

    // The whole output, or a box of it. 0, or what the kernel returned. Allocate nothing; any number of threads at once.
    int run(const void *input, void *output) const;
    int run(const void *input, void *output, const Box &box) const;

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
    void prepare_arguments();
    void prepare_whole();
    template <class Factor>
    void fill_divisors(const Problem &problem, const KernelRow &row, const KernelType &type);  // one for each of pitch_ floats of a column
    void find_clamped_rows(const Problem &problem);
    void find_inner_columns(const Problem &problem, std::int64_t lanes);
    void prepare_large(const Problem &problem, const KernelRow &row);
    void prepare_lines(const Problem &problem, const KernelRow &row);
    void prepare_walk(const Problem &problem, const KernelRow &row);

    KernelEntry entry_;
    bool streams_;
    const DTypeFacts &element_;
    std::uintptr_t alignment_bytes_;
    KernelLayout layout_;
    bool lanes_along_rows_;  // else along the channels, where no vector can leave a row
    Shares shares_;
    std::int64_t outer_, rows_, channels_;  // of the output; channels_ is 1 where a box has all of them
    std::array<KernelDimension, 4> input_dimensions_, output_dimensions_;
    std::array<std::int32_t, 6> window_;  // kernel h, w, stride h, w, pad top, left
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
    std::int32_t uniform_ = 0, pitch_ = 1;
    double positive_zero_ = 0;  // as well the bits of a float's, and of an integer's
    FactorTable divisor_x_, divisor_y_, reciprocal_;
    std::array<KernelDimension, 1> divisor_x_dimensions_, divisor_y_dimensions_;
    std::array<KernelDimension, 2> reciprocal_dimensions_;
    KernelBuffer input_, output_;  // without the data
    KernelBuffer divisor_x_buffer_, divisor_y_buffer_, reciprocal_buffer_;
    std::array<const void *, kKernelArgumentCount> arguments_;  // all but the input, the output, the border and the workspace
    // The pieces of the whole output, where they are few: for small problems what is left of a call is the kernel.
    std::vector<Piece> whole_;
};

}  // namespace halpool

#endif
