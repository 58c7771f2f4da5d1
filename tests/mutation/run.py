#!/usr/bin/env python3
"""Break the library in one place at a time and see whether a test notices.

    python3 tests/mutation/run.py --work DIR [--targets x86-64-avx2] [--only WORD] [--jobs 2] [-- CMAKE OPTIONS]

Copies the tree to DIR/tree, builds it with its tests in DIR/build, checks that all tests pass unbroken, then for
each mutation below: edits the copy, builds, runs the tests until the first failure, and restores the copy. Prints
one line a mutation and a table at the end; exits with 1 when one survived, 2 when one does not fit the code.

Not one of CTest's tests: a mutation of the generator emits every kernel again, and all take about 20 minutes on
2 cores.
The options behind -- go to CMake: -DPython3_EXECUTABLE and -DCMAKE_MAKE_PROGRAM as ./dev passes them.
"""
import argparse
import os
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WINDOW, CALL, PLAN, SHARES = \
    "runtime/window.hpp", "runtime/kernel_call.cpp", "runtime/plan.cpp", "runtime/shares.hpp"
ALGORITHM, SCHEDULE, GENERATOR = "generators/pool_algorithm.cpp", "generators/cpu_schedule.cpp", \
    "generators/avg_pool2d_generator.cpp"
WALK, LARGE, DENSE = "generators/window_walk.cpp", "generators/large_window.cpp", "generators/dense_columns.cpp"
LINES, TAPS = "generators/line_window.cpp", "generators/tap_window.cpp"
STATEMENTS, GRADIENT_LINES = "generators/statements.cpp", "generators/gradient_lines.cpp"
DIVISORS, BACKWARD_CALL, PROBLEM = "runtime/divisors.cpp", "runtime/backward_call.cpp", "runtime/problem.cpp"
ELEMENT, BACKWARD = "generators/element_type.cpp", "generators/avg_pool2d_backward_generator.cpp"
CONVENTION = "include/halpool/internal/kernel_convention.h"


def tile_split(columns, rows, order):
    """How cpu_schedule.cpp cuts an output into tiles of columns x rows, with these tail strategies."""
    return (f"split(v.x, xo, xi, columns, TailStrategy::{columns})\n"
            f"            .split(v.y, yo, yi, rows, TailStrategy::{rows})\n"
            f"            .reorder({order}")


# (what breaks, file, text that stands there exactly once, what it becomes)
MUTATIONS = [
    # ---- ceil rule
    ("ceil rule: a last window may start in the end padding", WINDOW,
     "if (ceil_mode && (extent - 1) * axis.stride >= axis.input + axis.pad_begin) --extent;", ""),
    ("ceil rule: >= becomes >", WINDOW,
     "(extent - 1) * axis.stride >= axis.input + axis.pad_begin",
     "(extent - 1) * axis.stride > axis.input + axis.pad_begin"),
    ("ceil rule: the begin padding does not count", WINDOW,
     "(extent - 1) * axis.stride >= axis.input + axis.pad_begin", "(extent - 1) * axis.stride >= axis.input"),
    ("ceil rule: rounds up by stride instead of stride - 1", WINDOW,
     "(ceil_mode ? axis.stride - 1 : 0)", "(ceil_mode ? axis.stride : 0)"),
    ("ceil rule: ceil_mode ignored", WINDOW,
     "(ceil_mode ? axis.stride - 1 : 0)", "(ceil_mode && axis.stride < 0 ? axis.stride - 1 : 0)"),
    # ---- divisor rule
    ("divisor rule: include counts valid taps", WINDOW,
     "rule == DivisorRule::count_include_pad ? span.full : span.taps",
     "rule == DivisorRule::count_include_pad ? span.taps : span.taps"),
    ("divisor rule: exclude counts padding", WINDOW,
     "rule == DivisorRule::count_include_pad ? span.full : span.taps",
     "rule == DivisorRule::count_include_pad ? span.full : span.full"),
    ("divisor rule: a window cut by ceil_mode counts in full", WINDOW,
     "taps_before(axis.input + axis.pad_end)}", "axis.kernel}"),
    ("divisor rule: a window without taps divides by 0", WINDOW,
     "if (rule == DivisorRule::fixed || span.taps == 0) return 1;", "if (rule == DivisorRule::fixed) return 1;"),
    ("divisor rule: the override is ignored by kernels", DIVISORS,
     "p.rule == DivisorRule::fixed ? p.fixed_divisor : divisor_factor(p.x, o, p.rule)",
     "divisor_factor(p.x, o, p.rule)"),
    ("divisor rule: every window has the first one's divisor", DIVISORS,
     "uniform_ = all_equal(x) && all_equal(y);", "uniform_ = true;"),
    ("divisor rule: uniform along x is enough", DIVISORS,
     "uniform_ = all_equal(x) && all_equal(y);", "uniform_ = all_equal(x);"),
    ("divisor rule: the reciprocal forgets the row", DIVISORS,
     "static_cast<std::int64_t>(i / x.size() + 1), p.scale)", "3, p.scale)"),
    ("divisor rule: the generator takes another row's reciprocal", GENERATOR,
     "cast<int>((*divisor_y)(y)) - 1;", "max(cast<int>((*divisor_y)(y)) - 2, 0);"),
    ("divisor rule: the generator forgets divisor_y", GENERATOR,
     "(*divisor_y)(0) * (*divisor_x)(0) : (*divisor_y)(v.y) * (*divisor_x)(v.x);", "(*divisor_y)(0) * (*divisor_x)(0) : (*divisor_x)(v.x);"),
    ("divisor rule: large windows forget divisor_y", GENERATOR,
     "strict_float(sum / ((*divisor_y)(v.y) * (*divisor_x)(v.x)))", "strict_float(sum / (*divisor_x)(v.x))"),
    # ---- pad clamp
    ("pad clamp: window starts are not clamped to the input (reference)", WINDOW,
     "return {start + outside * axis.dilation, taps_before(axis.input) - outside,", "return {start, taps_before(axis.input),"),
    ("pad clamp: window ends are not clamped to the input (reference)", WINDOW,
     "taps_before(axis.input) - outside,", "axis.kernel - outside,"),
    ("pad clamp: memory beside a row is not masked", ALGORITHM,
     "return select(!may_leave || likely(inside(axis, i)), value, zero);", "return value;"),
    ("pad clamp: masks by multiplication, which NaN survives", ALGORITHM,
     "return select(!may_leave || likely(inside(axis, i)), value, zero);",
     "return value * select(!may_leave || likely(inside(axis, i)), cast(value.type(), 1), cast(value.type(), 0));"),
    ("pad clamp: inside() begins one late", ALGORITHM, "return i >= 0 && i < axis.input;",
     "return i >= 1 && i < axis.input;"),
    ("pad clamp: inside() ends one late", ALGORITHM, "return i >= 0 && i < axis.input;",
     "return i >= 0 && i <= axis.input;"),
    ("pad clamp: lanes are never clamped", ALGORITHM,
     "return select(is_border(p, Border::clamped) || is_border(p, Border::narrow), clamp(i, 0, axis.input - 1), i);",
     "return i;"),
    ("pad clamp: masked lanes end one column late (walk)", WALK,
     "index < call->args[1];", "index <= call->args[1];"),
    ("pad clamp: rows are walked without a test one row too far", WALK,
     "(w.extent - at_zero + step - 1) / step", "(w.extent - at_zero + step) / step"),
    ("pad clamp: masked lanes are read (walk)", WALK, "if (anywhere || masked_loads_) value", "if (false) value"),
    ("pad clamp: rows behind the input are added (large)", LARGE,
     "const Expr inside = y >= 0 && y < height_;", "const Expr inside = y >= 0 && y <= height_;"),
    ("large: the gap that the next block finds is this block's", LARGE, "((block + 1) & 1) * pitch", "(block & 1) * pitch"),
    ("large: the ring's first block is not repeated behind its last", LARGE, "if_else(slot == 0, loop(\"copy\"", "if_else(slot < 0, loop(\"copy\""),
    ("large: the block that is added to its group's sum is the oldest", LARGE, "blocks.load((slot - 1) * pitch", "blocks.load(slot * pitch"),
    ("large: the sum of a group goes on in the next", LARGE, "keep({zero, zero}, from + at)", "keep({sum, zero}, from + at)"),
    ("large: a call's first group is added from its second block on", LARGE, "loop(\"block\", count - slot,", "loop(\"block\", count - slot - 1,"),
    ("large: blocks are counted from where a call begins", LARGE, "return output_row(0) / kRows;", "return 0;"),
    ("large: what the loops add reaches a row behind the input", LARGE, "clamp(y + count, 0, height_) - from", "clamp(y + count, 0, height_ + 1) - from"),
    ("large: rows below the input are still read as rows in it", LARGE, "below = newest >= height_;", "below = newest >= height_ - 1;"),
    ("large: the columns' first vector is taken for zeros", LARGE, "(lead_ - lanes_ + 2) / lanes_, 0", "(lead_ + lanes_ - 1) / lanes_, 0"),
    ("large: the columns' last sums are taken for zeros", LARGE, "lanes_ - 1) / lanes_ + levels() - 1);", "lanes_ - 1) / lanes_ + levels() - 3);"),
    ("large: a group's vectors behind the input keep the last group's sums", LARGE, "whole_.store(at, make_zero(Float(32, lanes_))));", "whole_.store(at, whole_.load(at, lanes_)));"),
    ("large: errors of the sum of a group's blocks are lost", LARGE, "plus(error, plus(strict_float(value", "plus(error, 0 * plus(strict_float(value"),
    ("large: the workspace of lines is a few rows too small", CONVENTION, "kLargeBlock + 9 + large_wholes", "kLargeBlock + 6 + large_wholes"),
    ("large: the workspace of strips is a few rows too small", CONVENTION, "(large_wholes(kernel_h, stride_h) + 4) +", "(large_wholes(kernel_h, stride_h) + 1) +"),
    ("large: strided windows end a group early", LARGE, "y_->kernel + (i - 1) * y_->stride", "y_->kernel + (i - 2) * y_->stride"),
    ("lines: padding before a row is not zeroed", LINES, "Block::make(zeros(at, lead_), zeros(at + behind, line_pitch_ - behind))",
     "zeros(at + behind, line_pitch_ - behind)"),
    ("lines: padding behind a row is not zeroed", LINES, "Block::make(zeros(at, lead_), zeros(at + behind, line_pitch_ - behind))", "zeros(at, lead_)"),
    ("lines: the last vector of a row is not moved back", STATEMENTS, "min(from + vector * width, count - width)", "from + vector * width"),
    ("lines: a row too many is added", LINES, "clamp(height_ - y, from, kernel_h_) - from);\n        const Expr place",
     "clamp(height_ + 1 - y, from, kernel_h_) - from);\n        const Expr place"),
    ("lines: the last block of taps is dropped", STATEMENTS, "add(block, count / kBlock * kBlock, count % kBlock)", "add(block, count / kBlock * kBlock, 0)"),
    ("lines: rows that are summed together reach beyond the plane", LINES, "y >= 0 && y + kernel_h_ + (count - 1) * argument(kStrideRows) <= height_", "y >= 0 && y + kernel_h_ <= height_"),
    ("lines: of rows summed together the last one takes the third's", LINES, "i == 2 ? Expr(2) : kernel + 2", "Expr(2)"),
    ("lines: pixels that are picked forget the stride", LINES, "at + pixel * step + vector * lanes", "at + pixel * pitch_ + vector * lanes"),
    ("lines: a column's pixel is rounded", LINES, "make_const(real, 0.5)", "make_const(real, 1.5)"),
    ("lines: every second column begins with the second", LINES, "t % 2 != 0); }", "t % 2 == 0); }"),
    ("lines: channels-last columns are one float apart", CALL, "pitch_ = narrow(in[1]);", "pitch_ = 1;"),
    ("lines: pieces forget that windows overlap", CALL, "(kLineFloats / pitch_ - p.x.kernel) / p.x.stride + 1;", "kLineFloats / pitch_ / p.x.stride;"),
    # ---- dtypes
    ("dtypes: bfloat16 is cut, not rounded", ELEMENT, "bits + bits32(0x7fffu) + ((bits >> 16) & bits32(1u))", "bits"),
    ("dtypes: ties of bfloat16 go up", ELEMENT, "bits + bits32(0x7fffu) + ((bits >> 16) & bits32(1u))", "bits + bits32(0x8000u)"),
    ("dtypes: NaN of bfloat16 is rounded", ELEMENT, "> 0x7f800000, nan, nearest);", "> 0x7fffffff, nan, nearest);"),
    ("dtypes: means of integers are not truncated", ELEMENT, "half = cast(factor, 0.5f);", "half = cast(factor, 1.0f);"),
    ("dtypes: negative means of integers are floored", ELEMENT, "half = select(dividend < 0, -half, half);", "half = select(dividend < 0, half - 1, half);"),
    ("dtypes: a mean of bytes is one sum short of the next", ELEMENT, "magnitude * u16(2) + u16(1)", "magnitude * u16(2)"),
    ("dtypes: means that do not fit wrap", ELEMENT, "return saturating_cast(stored, by_reciprocal(sum, reciprocal));", "return cast(stored, by_reciprocal(sum, reciprocal));"),
    ("dtypes: the two of a pair change places", ELEMENT, "return is_float() ? float_of_bits(word << 16) :", "return is_float() ? float_of_bits(word & bits32(0xffff0000u)) :"),
    ("dtypes: the low byte's sum keeps the high one's", ELEMENT, "is_float() ? low : low - (high << 8)", "is_float() ? low : low"),
    ("dtypes: negative means of pairs of bytes are floored", ELEMENT, "select(sum < zero, up_below, up)", "up"),
    ("dtypes: means of pairs of bytes that do not fit spill into their neighbour", "runtime/kernel_selector.cpp", "least = row.pairs ? row.kernel_h * row.kernel_w : 1", "least = 1"),
    ("dtypes: what is no element of a pair of signed bytes is -128", ALGORITHM, "p.zero[half].defined() ? simplify(p.zero[half] * cast(type, count)) : Internal::make_zero(type)", "Internal::make_zero(type)"),
    ("dtypes: words beside a row are one element wide", CALL, "(elements + 1) / 2 * 2 : elements;", "elements : elements;"),
    ("large: every call begins at the first plane", CALL, "made.input_offset += outer_offset(box.outer_begin,", "made.input_offset += outer_offset(0,"),
    # ---- beyond PyTorch
    ("superset: windows have no dilation (kernels)", ALGORITHM, "ix = window_start(p.x, v.x) + i * p.x.dilation,", "ix = window_start(p.x, v.x) + i,"),
    ("superset: windows have no dilation (reference)", "runtime/reference_kernel.cpp", "(columns.first + i * problem.x.dilation)", "(columns.first + i)"),
    ("superset: the backward pass takes windows between", BACKWARD_CALL, "step = narrow(window_step(axis));", "step = 1;"),
    ("superset: the odd one of SAME is on the other side", WINDOW, "return {upper ? total / 2 : total - total / 2,", "return {upper ? total - total / 2 : total / 2,"),
    ("superset: the full window is clipped", PROBLEM, "case HALPOOL_DIVISOR_WINDOW_FULL: problem.rule = DivisorRule::fixed;", "case HALPOOL_DIVISOR_WINDOW_FULL: problem.rule = DivisorRule::count_include_pad;"),
    ("quantized: padding is not zero", ELEMENT, "real_means_ ? cast(sum, element) - cast(sum, zero) :", "real_means_ ? cast(sum, element) :"),
    ("quantized: means are truncated", ELEMENT, "cast<int>(round(clamp(mean, -1024.0f, 1024.0f)))", "cast<int>(clamp(mean, -1024.0f, 1024.0f))"),
    ("quantized: the output's zero point is forgotten", CALL, "output_zero_(problem.output_zero)", "output_zero_(0)"),
    ("quantized: divisors know no scale", DIVISORS, "static_cast<double>(factor) / p.scale", "static_cast<double>(factor)"),
    ("quantized: reciprocals know no scale", DIVISORS, "static_cast<Factor>(scale) / divisor", "Factor{1} / divisor"),
    ("layouts: rows with gaps are taken for dense", CALL, "if (!is_dense) prepare_gaps(problem);", ""),
    ("layouts: images are evenly spaced", CALL, "image_planes_ = problem.input.shape[1];", "image_planes_ = 0;"),
    ("layouts: what is laid out anew begins at the first channel", "runtime/relaid_call.cpp", "(part.channel_begin + begin) * strides_[1]", "begin * strides_[1]"),
    ("layouts: what is laid out anew begins at the first row", "runtime/relaid_call.cpp", "+ y * strides_[2];", "+ (y - part.row_begin) * strides_[2];"),
    ("strides: what is gathered begins at the first row", "runtime/gathered_call.cpp", "static_cast<const Word *>(input) + rows.begin * strides_[2];", "static_cast<const Word *>(input);"),
    ("strides: lines across memory are one line", "runtime/gathered_call.cpp", "from[line * line_step + i * step];", "from[begin * line_step + i * step];"),
    ("strides: pixels are gathered without the images between", "runtime/gathered_call.cpp", "from + rows.outer * strides_[0] + rows.channel_begin", "from + rows.channel_begin"),
    ("layouts: images of pixels lie as planes do", CALL, "std::array<std::size_t, 4>{3, 2, 0, 1} :", "std::array<std::size_t, 4>{3, 2, 1, 0} :"),
    # ---- backward
    ("spread: what lies between the gradients' rows stays", "runtime/spread_call.cpp", "std::fill_n(to, row_elements, T{0});\n            continue;", "continue;"),
    ("spread: channels-last pixels are not scaled", "runtime/spread_call.cpp", "to[c] = from[c] * factor;", "to[c] = from[c];"),
    ("spread: rows of the other layout take gradients of one channel", "runtime/kernel_selector.cpp", "(row.layout == KernelLayout::nhwc) == problem.spreads_channels_last() ? &*spread : nullptr", "&*spread"),
    ("staged: parts lack the last row", "runtime/staged_call.cpp", "(row_end - 1) * stride_h_ - pad_top_ + reach_h_, begin + 1", "(row_end - 1) * stride_h_ - pad_top_ + reach_h_ - 1, begin + 1"),
    ("staged: parts begin where those of stride 1 do", "runtime/staged_call.cpp", "std::clamp<std::int64_t>(row * stride_h_ - pad_top_, 0", "std::clamp<std::int64_t>(row - pad_top_, 0"),
    ("spread: all rows take the first one's divisors", "runtime/spread_call.cpp", "factor_rows_[static_cast<std::size_t>(window)] * windows_w_;", "factor_rows_[static_cast<std::size_t>(window) * 0] * windows_w_;"),
    ("spread: gradients end with the last window", PROBLEM, "std::max((windows - 1) * axis.stride + 1, extent + pad + 1 - reach)", "((windows - 1) * axis.stride + 1)"),
    ("spread: one divisor where there are several", PROBLEM, "one_factor(y, windows_h()) && one_factor(x, windows_w())", "one_factor(y, windows_h())"),
    ("quantized: devices take zero for the zero point", GENERATOR, "on_device() ? device.input_zero", "on_device() ? Expr(0)"),
    ("quantized: devices forget the scale", "runtime/device_call.cpp", "scale_ = static_cast<float>(problem.scale);", "scale_ = 1;"),
    ("backward: a window too few before", WINDOW, "ceil_divide(at - axis.reach() + 1, axis.stride)", "ceil_divide(at - axis.reach() + 2, axis.stride)"),
    ("backward: integers by way of the forward pass", PROBLEM, "op != Op::avg_pool2d_backward || !input.dtype->is_float || y.stride", "op != Op::avg_pool2d_backward || y.stride"),
    ("backward: the forward pass keeps its padding", PROBLEM, "axis.pad_end = axis.reach() - 1 - axis.pad_end;", "axis.pad_end = axis.reach() - axis.pad_end;"),
    ("backward: windows with divisors of their own have one", PROBLEM, "rule != DivisorRule::valid_taps || inside;", "true;"),
    ("backward: fixed windows forget the phase", BACKWARD, "covers = covers && phase_x + i * sw < kw;", "covers = covers;"),
    ("backward: lines of a piece begin with what the last one left", GRADIENT_LINES, "p.add(zeros(-lanes_, (lead_ + 2 * lanes_ - 1) / lanes_));", ""),
    ("backward: lines keep what lies behind the last window", GRADIENT_LINES, "- lead_ - inside_ + lanes_ - 1) / lanes_ + 2));", "- lead_ - inside_ + lanes_ - 1) / lanes_ * 0));"),
    ("backward: rows under other windows take the line of the row above", GRADIENT_LINES, "table(kEndRow, above) != windows_end,", "false,"),
    ("backward: vectors run over the end of the output", GRADIENT_LINES, "const Expr may_run_over = r.let(\"may_run_over\", vectors * outputs <= at_row(args_[kElementsBehind], i));", "const Expr may_run_over = const_true();"),
    ("backward: by lines, vectors run over the end of the output", GRADIENT_LINES, "select(vectors * outputs <= behind_, vectors, count / outputs)", "vectors"),
    ("backward: of two rows under the same windows the second runs over the end", GRADIENT_LINES, "vectors * outputs <= at_row(args_[kElementsBehind], i) - columns_", "vectors * outputs <= at_row(args_[kElementsBehind], i)"),
    ("backward: lines of one channel are any stride's", "runtime/kernel_selector.cpp", "floats == 1 && (p.x.stride < 2 ||", "!nhwc && (p.x.stride < 2 ||"),
    ("backward: windows beside the first are not masked", GRADIENT_LINES, "clamp((lanes_ - 1 - base - reach.lowest) / lanes_, 0, vectors)", "0"),
    ("backward: streamed rows end with a whole vector", GRADIENT_LINES, "is_end ? if_else(at + i < columns_, vector) : vector", "vector"),
    ("backward: the first window's pixels are streamed with those of a window before", GRADIENT_LINES, "clamp((pad_ + stride_ - 1) / stride_, max(from, 1), to)", "clamp((pad_ + stride_ - 1) / stride_, from, to)"),
    ("backward: streamed pixels behind the last window", GRADIENT_LINES, "clamp(min(windows_, (columns_ + pad_) / stride_), begin, to)", "clamp((columns_ + pad_) / stride_, begin, to)"),
    ("backward: windows beside the row are streamed", GRADIENT_LINES, "is_inside ? sum : select(wide(inside == at, lanes), sum, zeros)", "sum"),
    ("backward: streamed channels begin again behind the chunks", GRADIENT_LINES, "body(chunks + i * lanes_, lanes_)", "body(i * lanes_, lanes_)"),
    ("backward: streamed windows of two strides share a pixel too few", GRADIENT_LINES, "overlap ? args_[kKernel] - stride_ :", "overlap ? args_[kKernel] % stride_ :"),
    ("backward: streamed pixels of any windows", "runtime/kernel_selector.cpp", "std::max(over(p.y), over(p.x)) > kMostStreamedWindows", "over(p.x) > kMostStreamedWindows"),
    ("backward: pixels of a window's rest have no window more", GRADIENT_LINES, "write(result(one_more), begin, min(end, rest_))", "write(result(sum), begin, min(end, rest_))"),
    ("backward: lines of pieces do not overlap", GRADIENT_LINES, "kGradientLineFloats / pitch_ - before_ - 2", "kGradientLineFloats / pitch_ - 1"),
    ("backward: a row before the first is read", BACKWARD_CALL, "last(head) - before <= 0) ++head;", "last(head) - before < 0) ++head;"),
    ("backward: the windows of a block's end are added twice", BACKWARD, "(block_y * kBlockH + stages.taps.y) * step_h;", "(block_y + stages.taps.y) * step_h;"),
    ("taps: a column too many at the end of a row", TAPS, "clamp(width_ - left, from, kernel_w_)", "clamp(width_ + 1 - left, from, kernel_w_)"),
    ("taps: a column too few at the end of a row", TAPS, "clamp(width_ - left, from, kernel_w_)", "clamp(width_ - 1 - left, from, kernel_w_)"),
    ("taps: a window that leaves the row is not cut", TAPS, "(width_ + pad_ - kernel_w_) / stride_ + 1", "(width_ + pad_ - kernel_w_) / stride_ + 2"),
    ("taps: the first rows are added from the padding", TAPS, "from = r.let(\"from\", clamp(-y, 0, kernel_h_));", "from = r.let(\"from\", min(0, y));"),
    ("divisor rule: all rows divide as the first class does (windows known at run time)", GENERATOR,
     "cast<int>((*divisor_y)(v.y)) - 1, 0, kernel_h - 1", "0, 0, kernel_h - 1"),
    ("pad clamp: rows are not clamped", ALGORITHM,
     "return p.on_device ? inside_input : select(leaves_rows(p), inside_input, i);", "return i;"),
    ("pad clamp: the window starts at the input, not in the padding", ALGORITHM,
     "return o * axis.stride - axis.pad_begin;", "return o * axis.stride;"),
    ("pad clamp: the first rows may read before the tensor", CALL, "clamped_head_ = head;", "clamped_head_ = 0;"),
    ("pad clamp: the last rows may read behind the tensor", CALL, "clamped_tail_ = tail;", "clamped_tail_ = 0;"),
    ("pad clamp: one row too few is clamped", CALL, "clamped_head_ = head;",
     "clamped_head_ = head > 0 ? head - 1 : 0;"),
    # ---- tails
    ("tail: columns behind the last tile are rounded up (planar fixed)", SCHEDULE,
     tile_split("ShiftInwards", "ShiftInwards", "xi, yi,"),
     tile_split("RoundUp", "ShiftInwards", "xi, yi,")),
    ("tail: rows behind the last tile are rounded up (planar fixed)", SCHEDULE,
     tile_split("ShiftInwards", "ShiftInwards", "xi, yi,"),
     tile_split("ShiftInwards", "RoundUp", "xi, yi,")),
    ("tail: columns behind the last vector are rounded up (planar, window at run time)", SCHEDULE,
     "stage.split(v.x, xo, xi, columns, TailStrategy::ShiftInwards).vectorize(xi)",
     "stage.split(v.x, xo, xi, columns, TailStrategy::RoundUp).vectorize(xi)"),
    ("tail: channels behind the last strip are rounded up (channels-last fixed)", SCHEDULE,
     "stage.split(v.c, co, ci, lanes * vectors, TailStrategy::ShiftInwards)\n            .split(ci, ci, cv, lanes)\n            .split(v.y",
     "stage.split(v.c, co, ci, lanes * vectors, TailStrategy::RoundUp)\n            .split(ci, ci, cv, lanes)\n            .split(v.y"),
    ("tail: pixels behind the last four are rounded up (4 and 8 channels)", SCHEDULE,
     ".split(v.x, xo, xi, columns, TailStrategy::ShiftInwards)\n            .reorder(cv, xi, co, xo, v.y, v.n)",
     ".split(v.x, xo, xi, columns, TailStrategy::RoundUp)\n            .reorder(cv, xi, co, xo, v.y, v.n)"),
    ("tail: channels behind the last strip are rounded up (taps)", SCHEDULE,
     "stage.split(v.c, co, ci, lanes * vectors, TailStrategy::ShiftInwards)\n            .split(ci, ci, cv, lanes)\n            .reorder(cv, ci, co, v.x",
     "stage.split(v.c, co, ci, lanes * vectors, TailStrategy::RoundUp)\n            .split(ci, ci, cv, lanes)\n            .reorder(cv, ci, co, v.x"),
    ("tail: channels behind the last strip are rounded up (channels-last walk)", SCHEDULE,
     "stage.split(v.c, cw, ci, lanes * vectors, TailStrategy::ShiftInwards)",
     "stage.split(v.c, cw, ci, lanes * vectors, TailStrategy::RoundUp)"),
    ("tail: rows behind the last strip are rounded up (channels-last walk)", SCHEDULE,
     ".split(v.y, yo, yi, rows, TailStrategy::ShiftInwards)\n            .split(v.x, v.x, co, 1)",
     ".split(v.y, yo, yi, rows, TailStrategy::RoundUp)\n            .split(v.x, v.x, co, 1)"),
    ("walk: the first columns are not tested (channels-last)", ALGORITHM,
     "return walked(ix, p.x.input, p.border, sum, zeros(", "return walked(ix + 1, p.x.input, p.border, sum, zeros("),
    ("tail: rows behind the last tile are rounded up (channels-last fixed)", SCHEDULE,
     ".split(v.y, yo, yi, rows, TailStrategy::ShiftInwards)\n            .reorder(cv, ci, yi, co,",
     ".split(v.y, yo, yi, rows, TailStrategy::RoundUp)\n            .reorder(cv, ci, yi, co,"),
    ("tail: columns behind the last vector are rounded up (three channels)", SCHEDULE,
     "stage.split(v.x, xo, xi, columns, TailStrategy::ShiftInwards)\n            .reorder(xi, v.c, xo, v.y, v.n)",
     "stage.split(v.x, xo, xi, columns, TailStrategy::RoundUp)\n            .reorder(xi, v.c, xo, v.y, v.n)"),
    ("tail: channels behind the last strip are rounded up (channels-last, window at run time)", SCHEDULE,
     "Stage stage, int lanes) {\n        stage.split(v.c, co, ci, lanes, TailStrategy::ShiftInwards)",
     "Stage stage, int lanes) {\n        stage.split(v.c, co, ci, lanes, TailStrategy::RoundUp)"),
    ("tail: channels behind the last strip are rounded up (channels-last global)", SCHEDULE,
     "Stage stage, int lanes) {\n            stage.split(v.c, co, ci, lanes, TailStrategy::ShiftInwards)",
     "Stage stage, int lanes) {\n            stage.split(v.c, co, ci, lanes, TailStrategy::RoundUp)"),
    ("tail: columns behind the last strip are rounded up (walk)", SCHEDULE,
     "lanes * vectors, TailStrategy::ShiftInwards)\n            .split(xi, xk, xi, lanes)",
     "lanes * vectors, TailStrategy::RoundUp)\n            .split(xi, xk, xi, lanes)"),
    ("tail: the last block of columns is dropped (separable)", ALGORITHM,
     "RDom(0, (p.x.kernel + kBlock - 1) / kBlock, \"blocks\")",
     "RDom(0, max(p.x.kernel / kBlock, 1), \"blocks\")"),
    ("tail: a block of rows reaches beyond the window (separable)", ALGORITHM,
     "stages.column_taps.where(j < p.y.kernel);", "stages.column_taps.where(j <= p.y.kernel);"),
    ("tail: narrow planes take the wide variant", SCHEDULE,
     "Expr wide = when.width >= schedule.vector, tall", "Expr wide = when.width >= 1, tall"),
    ("tail: low planes take the tall variant", SCHEDULE,
     "tall = when.rows >= schedule.tile_rows;\n    tile(", "tall = when.rows >= 1;\n    tile("),
    ("tail: the row's last elements are counted twice (global)", ALGORITHM,
     "select(last >= vectors * lanes, row(", "select(last >= 0, row("),
    ("tail: the row's last elements are dropped (global)", ALGORITHM,
     "select(last >= vectors * lanes, row(", "select(last > vectors * lanes, row("),
    ("tail: a block reaches beyond the window", ALGORITHM,
     "stages.taps.where(i < p.x.kernel && j < p.y.kernel);",
     "stages.taps.where(i <= p.x.kernel && j < p.y.kernel);"),
    ("tail: the last block of taps is dropped", ALGORITHM,
     "RDom(0, (p.x.kernel + block_w - 1) / block_w,", "RDom(0, max(p.x.kernel / block_w, 1),"),
    # ---- numbers
    ("numbers: long windows add up in one f32 chain", GENERATOR,
     "runtime_window_sum(problem, v, 8, 2, false)", "runtime_window_sum(problem, v, 8, 2, true)"),
    ("numbers: a sum of -0.0 stays -0.0", ELEMENT, "rounded(sum * reciprocal + positive_zero)", "rounded(sum * reciprocal)"),
    ("numbers: global windows of many taps add up in f32 (channels-last)", GENERATOR,
     "input.dim(1).extent() <= 16 * 16;", "input.dim(1).extent() <= 1 << 30;"),
    ("numbers: what is read in order becomes part of the result", ALGORITHM,
     "return reinterpret<float>(stages.touched(v.y, v.c, v.n) & reinterpret<int>(zero));",
     "return reinterpret<float>(stages.touched(v.y, v.c, v.n));"),
    # ---- shares
    ("shares: the last tile is nobody's", SHARES, "end = cut(tiles, part + 1, parts);",
     "end = cut(tiles, part + 1, parts) - (part + 1 == parts && parts > 2 ? 1 : 0);"),
    ("shares: neighbours overlap", SHARES, "at = cut(tiles, part, parts);",
     "at = cut(tiles, part, parts) - (part > 0 && cut(tiles, part, parts) > 0 ? 1 : 0);"),
    ("shares: runs of channels overlap", SHARES, "channels_before(block + 1, blocks)}", "channels_}"),
    ("shares: channels are never cut", SHARES, "while (blocks < units && !balanced(blocks)) ++blocks;", ""),
    ("shares: a run of channels reads the first ones", CALL, "made.input_offset += box.channel_begin * input_bytes;", ""),
    ("shares: tiny work goes to the pool", PLAN, "std::clamp<std::int64_t>(worth, 1, (call_ ? call_->shares() : shares_).most())",
     "(call_ ? call_->shares() : shares_).most()"),
    ("pool: the caller does not wait for the workers", "runtime/thread_pool.cpp", "        wait_for_workers(job);\n", ""),
    ("pool: a sleeper is never woken", "runtime/thread_pool.cpp",
     "if (--job.workers == 0 && job.caller_sleeps) {", "if (--job.workers == 0 && false) {"),
    ("selector: trusts every CPU", "runtime/kernel_registry.cpp",
     "linked.device->has_feature(*feature) : host_has_feature(*feature);",
     "linked.device->has_feature(*feature) : true;"),
    # ---- devices: run with --targets "native;cuda;vulkan"
    ("device: the border is never clamped", "runtime/device_call.cpp",
     "? Border::clamped : Border::none);", "? Border::none : Border::none);"),
    ("device: one divisor for all windows", "runtime/device_call.cpp",
     "own_divisor_ = one_divisor ? 0 : 1;", "own_divisor_ = 0;"),
    ("device: exclude counts the begin padding", "runtime/device_call.cpp",
     "return valid ? 0 : narrow(-axis.pad_begin);", "return narrow(-axis.pad_begin);"),
    ("device: exclude counts the end padding", "runtime/device_call.cpp",
     "narrow(valid ? axis.input : axis.input + axis.pad_end)", "narrow(axis.input + axis.pad_end)"),
    ("device: a later launch starts at the first slice", "runtime/device_call.cpp",
     "part(output, begin * output_bytes, count * output_bytes)", "part(output, 0, count * output_bytes)"),
    ("device: launches do not start where the device allows", "runtime/device_call.cpp",
     "return slices / step * step;", "return slices;"),
    ("device: a block too few is counted", "runtime/device_call.cpp",
     "if (slices >= view.slices) return view.slices;", "if (slices + 1 >= view.slices) return view.slices;"),
    ("device: an unaligned address runs the aligned kernel", "runtime/device_call.hpp",
     "return address % alignment_bytes_ == 0;", "return address % alignment_bytes_ < alignment_bytes_;"),
    ("streaming: an unaligned output runs the streaming kernel", "runtime/plan.cpp",
     "return call_ && !call_->takes_output(output) ? unaligned_call_.get() : call_.get();", "return call_.get();"),
    ("streaming: one byte too few is enough", "runtime/kernel_selector.cpp", "if (bytes < least)", "if (bytes + 1 < least)"),
    ("streaming: rows of parts of lines are taken", "runtime/kernel_selector.cpp",
     "&& p.output.shape[3] % row.alignment == 0", "&& p.output.shape[3] > 0"),
    ("device: aligned kernels take any extent", "runtime/kernel_selector.cpp",
     "if (row.alignment > 1) {", "if (row.alignment > 99) {"),
    ("device: memory of another device is taken", "runtime/plan.cpp",
     "require(side.memory.device() == device(),", "require(side.memory.device() != HALPOOL_DEVICE_AUTO,"),
    ("device: the tensors' ends are not held against their memory", "runtime/plan.cpp",
     "above <= side.memory.size() - side.offset,", "above > 0,"),
    ("device: a compensated sum forgets its error", ALGORITHM,
     "return {value, strict_float(total[1] + error)};", "return {value, strict_float(total[1] + error * 0.0f)};"),
    ("device: the tree leaves out a branch", ALGORITHM,
     "tree(branches, [&](int i) { return stages.branch(v.c, i, v.n); });",
     "tree(std::max(branches - 1, 1), [&](int i) { return stages.branch(v.c, i, v.n); });"),
    ("dense: what comes in behind a moved vector is the first lane's again", DENSE, "lanes + phase + (i - lanes) * stride", "lanes + phase"),
    ("dense: a part of a row is taken to need no column behind it where it does", DENSE, "kernel - 1 < 2 * stride", "kernel - 1 <= 2 * stride"),
    ("dense: vectors are not masked on the left", WALK, "(side < 0 || side == kBothSides)", "(side < 0)"),
    ("dense: vectors may read behind the tensor", CALL, "dense_columns ? 2 * row.lanes", "dense_columns ? 0 * row.lanes"),
    ("gradients that stream take an output at any address", "runtime/backward_call.hpp",
     "return reinterpret_cast<std::uintptr_t>(output) % alignment_bytes_ == 0;", "return output != nullptr;"),
    ("gradients are divided otherwise where channels are left over", BACKWARD, "return on_device() ? scaled : strict_float(scaled);", "return scaled;"),
]


def run(command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def first_failure(output):
    for line in output.splitlines():
        if "***" in line and "***Skipped" not in line:
            return line.split(":", 1)[1].split(" ..")[0].strip() + " (" + line.split("***")[1].split()[0] + ")"
    return "no test named"


def main():
    arguments, cmake_options = sys.argv[1:], []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, cmake_options = arguments[:at], arguments[at + 1:]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", required=True, help="an empty or earlier working folder, outside the tree")
    parser.add_argument("--targets", default="x86-64-avx2", help="targets to build; this host must run them")
    parser.add_argument("--only", default="", help="mutations whose description holds this word")
    parser.add_argument("--jobs", default="2")
    parser.add_argument("--labels", default="conformance|property|runtime|races", help="of the tests to run")
    parser.add_argument("--cmake", default="cmake")
    options = parser.parse_args(arguments)

    tree, build = os.path.join(options.work, "tree"), os.path.join(options.work, "build")
    os.makedirs(options.work, exist_ok=True)
    shutil.rmtree(tree, ignore_errors=True)
    # New times, or files built from an interrupted run's mutation would look up to date.
    shutil.copytree(ROOT, tree, copy_function=shutil.copy,
                    ignore=shutil.ignore_patterns(".git", "build", "__pycache__"))
    ctest = os.path.join(os.path.dirname(options.cmake), "ctest")
    environment = dict(os.environ, HALPOOL_PROPERTY_CASES="2000")

    def build_and_test():
        built = run([options.cmake, "--build", build, "--parallel", options.jobs])
        if built.returncode != 0:
            return "does not build", built.stdout[-3000:]
        # CTest starts with what failed last: without its memory the first test to notice is the same in every run.
        shutil.rmtree(os.path.join(build, "Testing"), ignore_errors=True)
        tested = run([ctest, "--test-dir", build, "-L", options.labels, "--stop-on-failure", "--parallel",
                      options.jobs], env=environment)
        return ("passes" if tested.returncode == 0 else "fails"), tested.stdout

    wanted = [m for m in MUTATIONS if options.only in m[0]]
    misfits = 0
    for name, path, old, _ in wanted:
        with open(os.path.join(tree, path), encoding="utf-8") as file:
            count = file.read().count(old)
        if count != 1:
            print(f"does not fit: {name}: {path} holds its text {count} times, not once")
            misfits += 1
    if misfits:
        return 2

    configured = run([options.cmake, "-S", tree, "-B", build, "-G", "Ninja", "-DHALPOOL_BUILD_TESTS=ON",
                      "-DHALPOOL_BUILD_CLI=OFF", f"-DHALPOOL_TARGETS={options.targets}", *cmake_options])
    if configured.returncode != 0:
        print(configured.stdout)
        return 2
    verdict, output = build_and_test()
    if verdict != "passes":
        print(output[-3000:])
        print(f"the tree as it is {verdict}: nothing to compare mutations with")
        return 2

    rows, survived = [], 0
    for name, path, old, new in wanted:
        file_path = os.path.join(tree, path)
        with open(file_path, encoding="utf-8") as file:
            original = file.read()
        begun = time.time()
        with open(file_path, "w", encoding="utf-8") as file:
            file.write(original.replace(old, new))
        try:
            verdict, output = build_and_test()
        finally:
            with open(file_path, "w", encoding="utf-8") as file:
                file.write(original)
        if verdict == "fails":
            result = "killed by " + first_failure(output)
        elif verdict == "passes":
            result = "SURVIVED"
            survived += 1
        else:
            result = "DOES NOT BUILD: " + output.strip().splitlines()[-1]
            misfits += 1
        rows.append((name, result))
        print(f"{name}: {result} ({time.time() - begun:.0f} s)", flush=True)

    if rows and build_and_test()[0] != "passes":
        print("the restored tree fails: the verdicts above prove nothing")
        return 2

    width = max((len(name) for name, _ in rows), default=0)
    print("\n" + "\n".join(f"{name:{width}}  {result}" for name, result in rows))
    print(f"{len(rows)} mutations, {survived} survived, {misfits} did not build")
    return 2 if misfits else 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
