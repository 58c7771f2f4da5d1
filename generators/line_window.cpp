#include "line_window.hpp"

#include "lowered_ir.hpp"
#include "statements.hpp"

#include <halpool/internal/kernel_convention.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

using namespace Halide;
using namespace Halide::Internal;

namespace halpool {
namespace {

constexpr char kLineWindow[] = "halpool_line_window";

constexpr int kChunk = 4, kSharedChunk = 2;  // vectors whose sums are added side by side; that four rows of windows share

// For vectors that lie inside a row: without what keeps the last one inside.
class DropClamps : public IRMutator {
public:
    explicit DropClamps(std::string loop) : loop_(std::move(loop)) {}

private:
    using IRMutator::visit;
    Expr visit(const Min *op) override {
        const bool a = expr_uses_var(op->a, loop_), b = expr_uses_var(op->b, loop_);
        return a == b ? IRMutator::visit(op) : mutate(a ? op->a : op->b);
    }
    std::string loop_;
};

// The code for one loop over rows.
class Emitter {
public:
    Emitter(const For *rows, Stmt body, const Call *mark, int lanes)
        : rows_(rows), body_(std::move(body)), lanes_(lanes), wide_(mark->type.lanes() >= lanes), input_(scalar(mark->args[kPlane]).as<Load>()),
          line_("line", kLineFloats + kSlack * lanes), sums_("sums", kLineFloats + kSlack * lanes) {
        _halide_user_assert(input_) << "the plane must be a load of the input\n";
        row_ = scalar(mark->args[kRow]);
        arguments_ = call_arguments(mark);
    }

    Stmt emit() {
        Sequence s;
        body_ = hoist_constants(body_, s);
        width_ = s.let("width", argument(kInputW));
        height_ = s.let("height", argument(kInputH));
        row_pitch_ = s.let("row_pitch", argument(kRowPitch));
        base_ = s.let("plane", scalar(input_->index));
        pitch_ = s.let("pitch", argument(kColumnPitch));
        kernel_h_ = s.let("kernel_h", argument(kKernelRows));
        kernel_w_ = s.let("kernel_w", argument(kKernelColumns));
        stride_ = s.let("stride", argument(kStrideColumns));
        const Expr first_column = s.let("first_column", argument(kFirstColumn) / pitch_);
        columns_ = s.let("columns", argument(kColumns) / pitch_);
        const Expr begin = s.let("begin", (first_column * stride_ - argument(kPadColumns)) * pitch_);
        starts_ = s.let("starts", ((columns_ - 1) * stride_ + 1) * pitch_);
        const Expr length = s.let("length", starts_ + (kernel_w_ - 1) * pitch_);
        first_ = s.let("first", clamp(begin, 0, width_));
        inside_ = s.let("inside", clamp(begin + length, first_, width_) - first_);
        lead_ = s.let("lead", clamp(first_ - begin, 0, length));
        line_pitch_ = s.let("line_pitch", round_up(length, lanes_));
        // Calls begin at multiples of kLineRows: whatever is computed of several rows together does not depend on the call.
        const Expr together = s.let("together", select(line_pitch_ * kLineRows <= kLineFloats, kLineRows, line_pitch_ * 2 <= kLineFloats, 2, 1));
        s.add(loop("line", together, [&](const Expr &i) {
            const Expr at = i * line_pitch_, behind = lead_ + inside_;
            const auto zeros = [&](const Expr &from, const Expr &count) {
                return loop("zeros", (count + lanes_ - 1) / lanes_, [&](const Expr &vector) { return line_.store(from + vector * lanes_, make_zero(Float(32, lanes_))); });
            };
            return Block::make(zeros(at, lead_), zeros(at + behind, line_pitch_ - behind));
        }));
        s.add(loop("block", (rows_->extent + together - 1) / together, [&](const Expr &block) {
            Sequence b;
            const Expr first = b.let("row", block * together), count = b.let("count", min(rows_->extent - first, together));
            const Expr y = b.let("y", first_input_row(first));
            const Expr are_inside = y >= 0 && y + kernel_h_ + (count - 1) * argument(kStrideRows) <= height_;
            Stmt sums = loop("line", count, [&](const Expr &i) { return column_sums(first + i, i * line_pitch_); });
            for (const auto &[rows, stride] : {std::pair{2, 1}, {kLineRows, 2}, {kLineRows, 1}}) {
                sums = if_else(are_inside && count == rows && argument(kStrideRows) == stride, shared_column_sums(y, rows, stride, sums), sums);
            }
            b.add(sums);
            b.add(loop("line", count, [&](const Expr &i) { return outputs(first + i, i * line_pitch_); }));
            return b.done();
        }));
        return line_.within(sums_.within(s.done()));
    }

private:
    static constexpr int kSlack = 2 * kChunk;  // vectors that are read, or zeroed, behind a line

    Expr argument(int which) const { return arguments_[static_cast<std::size_t>(which - kInputW)]; }

    Expr first_input_row(const Expr &output_row) const {
        return substitute(rows_->name, rows_->min + output_row, row_) * argument(kStrideRows) - argument(kPadRows);
    }
    Expr input(const Expr &at, int lanes) const {
        return Load::make(Float(32, lanes), input_->name, Floats::index(at, lanes), input_->image, input_->param, const_true(lanes), ModulusRemainder());
    }

    // The sums of the windows' rows in every column, for one row of the output.
    Stmt column_sums(const Expr &output_row, const Expr &to) const {
        Sequence s;
        const Expr y = s.let("y", first_input_row(output_row));
        const Expr from = s.let("from", clamp(-y, 0, kernel_h_)), count = s.let("rows", clamp(height_ - y, from, kernel_h_) - from);
        const Expr place = s.let("place", base_ + (y + from) * row_pitch_ + first_), target = s.let("to", to + lead_);
        const auto tap = [&](const Expr &at, const Expr &row, int lanes) { return input(place + at + row * row_pitch_, lanes); };
        Stmt result = each_vector(inside_, lanes_, kChunk, [&](const Expr &at, int lanes) {
            return sum_in_blocks(lanes, count, [&](const Expr &t) { return tap(at, t, lanes); }, [&](const Expr &sum) { return line_.store(target + at, sum); });
        });
        for (int known : {7, 5, 4, 3, 2, 1}) {
            const Stmt variant = each_vector(inside_, lanes_, kChunk, [&](const Expr &at, int lanes) {
                return line_.store(target + at, chain(known, [&](int t) { return tap(at, t, lanes); }));
            });
            result = if_else(count == known, variant, result);
        }
        s.add(result);
        return s.done();
    }

    // The same for `together` rows of windows that all lie inside, the first of which begins in row y: what windows share is added up
    // once. otherwise: for windows of a number of rows that there is no code for here.
    Stmt shared_column_sums(const Expr &y, int together, int stride, const Stmt &otherwise) const {
        Sequence s;
        const Expr place = s.let("place", base_ + y * row_pitch_ + first_);
        const auto tap = [&](const Expr &at, const Expr &row, int lanes) { return input(place + at + row * row_pitch_, lanes); };
        const auto put = [&](const Expr &at, const std::function<Expr(int)> &sum) {
            std::vector<Stmt> stores;
            for (int i = 0; i < together; ++i) stores.push_back(line_.store(i * line_pitch_ + lead_ + at, sum(i)));
            return Block::make(stores);
        };
        // Of stride 1: the rows that all windows have, those that pairs of windows have besides, and each window's own.
        const auto of_stride_1 = [&](const Expr &at, const Expr &all, const Expr &kernel, int lanes) {
            const auto with_all = [&](const Expr &sum) { return all.defined() ? plus(all, sum) : sum; };
            const auto of_two = [&](const Expr &row) { return plus(tap(at, row, lanes), tap(at, row + 1, lanes)); };
            if (together == 2) return put(at, [&](int i) { return with_all(tap(at, i == 0 ? Expr(0) : kernel, lanes)); });
            return put(at, [&](int i) { return plus(with_all(of_two(i < 2 ? Expr(1) : kernel)), tap(at, i == 0 ? Expr(0) : i == 1 ? kernel : i == 2 ? Expr(2) : kernel + 2, lanes)); });
        };
        const auto variant = [&](int known) {
            return each_vector(inside_, lanes_, kSharedChunk, [&](const Expr &at, int lanes) {
                const auto taps = [&](int from, int count) { return chain(count, [&](int t) { return tap(at, from + t, lanes); }); };
                if (stride == 1 && known >= together) return of_stride_1(at, known == together - 1 ? Expr() : taps(together - 1, known - together + 1), known, lanes);
                // The rows of one stride after another.
                return put(at, [&](int i) {
                    const int strides = known / stride, rest = known % stride;
                    Expr sum = chain(strides, [&](int t) { return taps((i + t) * stride, stride); });
                    return rest == 0 ? sum : plus(sum, taps((i + strides) * stride, rest));
                });
            });
        };
        Stmt result = otherwise;
        if (stride == 1) {
            const Stmt any = each_vector(inside_, lanes_, kSharedChunk, [&](const Expr &at, int lanes) {
                return sum_in_blocks(lanes, kernel_h_ - (together - 1), [&](const Expr &t) { return tap(at, t + (together - 1), lanes); },
                                 [&](const Expr &all) { return of_stride_1(at, all, kernel_h_, lanes); });
            });
            result = if_else(kernel_h_ >= 4, any, result);
        }
        for (int known : {7, 5, 4, 3, 2}) {
            if (stride == 1 || known == 7) result = if_else(kernel_h_ == known, variant(known), result);
        }
        s.add(result);
        return s.done();
    }

    // kTogether of a row's vectors at a time.
    Stmt unrolled(const Stmt &row) const {
        constexpr int kTogether = 4;
        const For *vectors = row.as<For>();
        if (!vectors) return row;  // one vector
        const Stmt whole = DropClamps(vectors->name).mutate(vectors->body);
        const Expr chunks = argument(kColumns) / (lanes_ * kTogether);
        const auto at = [&](const Stmt &body, const Expr &vector) { return substitute(vectors->name, vectors->min + vector, body); };
        return Block::make(loop("chunk", chunks, [&](const Expr &chunk) {
                               std::vector<Stmt> all;
                               for (int i = 0; i < kTogether; ++i) all.push_back(at(whole, chunk * kTogether + i));
                               return Block::make(all);
                           }),
                           loop("vector", vectors->extent - chunks * kTogether, [&](const Expr &vector) { return at(vectors->body, chunks * kTogether + vector); }));
    }

    // The loops over one row's outputs, of which the sums are given by `sum`.
    Stmt row_of(const Expr &output_row, const std::function<Expr(const Call *)> &sum, bool several = false) const {
        const auto variant = [&](bool one_divisor) {
            const Stmt loop = replace_mark(body_, kLineWindow, sum), row = substitute(rows_->name, rows_->min + output_row, several ? unrolled(loop) : loop);
            return simplify(substitute(argument(kUniformDivisor).as<Variable>()->name, one_divisor ? 1 : 0, row));
        };
        return if_else(argument(kUniformDivisor) == 1, variant(true), variant(false));
    }

    static Expr wide(const Expr &e, int lanes) { return lanes == 1 || e.type().is_vector() ? e : Broadcast::make(e, lanes); }
    static Expr load(const Floats &from, const Expr &index) {
        return Load::make(Float(32, index.type().lanes()), from.name, simplify(index), Buffer<>(), Parameter(), const_true(index.type().lanes()), ModulusRemainder());
    }

    // Every second float from index on, of which vectors of 8 lanes are in the order of `unzipped` (and one shuffle within their
    // halves), others in theirs. odd: those between them.
    static Expr every_second(const Floats &from, const Expr &index, bool odd) {
        const int lanes = index.type().lanes();
        const Expr base = index.as<Ramp>() ? index.as<Ramp>()->base : index;
        std::vector<int> lane;
        for (int i = 0; i < lanes; ++i) lane.push_back(2 * (lanes == 8 ? kUnzipped[i] : i) + (odd ? 1 : 0));
        const Expr first = load(from, Ramp::make(base, 1, lanes)), second = load(from, Ramp::make(base + lanes, 1, lanes));
        return Shuffle::make({first, second}, lane);
    }
    static Expr unzipped(const Expr &value) {
        if (value.type().lanes() != 8) return value;
        return Shuffle::make({value}, std::vector<int>(std::begin(kUnzipped), std::end(kUnzipped)));  // its own inverse
    }

    Stmt outputs(const Expr &output_row, const Expr &from) const {
        Sequence s;
        const Expr at = s.let("from", from);
        // At every column first.
        const auto spread = [&](const Expr &pitch) {
            const int lanes = lanes_ * kChunk;
            return loop("sums", (starts_ + lanes - 1) / lanes, [&](const Expr &chunk) {
                return sum_in_blocks(lanes, kernel_w_, [&](const Expr &t) { return line_.load(at + chunk * lanes + t * pitch, lanes); },
                                 [&](const Expr &sum) { return sums_.store(chunk * lanes, sum); });
            });
        };
        // Where windows begin alone, of pixels that are whole vectors.
        const auto picked = [&](int lanes) {
            const Expr step = stride_ * pitch_;
            const auto sums = [&](int known) {
                return loop("pixel", columns_, [&](const Expr &pixel) {
                    return loop("vector", pitch_ / lanes, [&](const Expr &vector) {
                        const Expr first = at + pixel * step + vector * lanes;
                        const auto tap = [&](const Expr &t) { return line_.load(first + t * pitch_, lanes); };
                        const auto put = [&](const Expr &sum) { return sums_.store(pixel * pitch_ + vector * lanes, sum); };
                        return known > 0 ? put(chain(known, tap)) : sum_in_blocks(lanes, kernel_w_, tap, put);
                    });
                });
            };
            Stmt any = sums(0);
            for (int known : {7, 5, 4, 3}) any = if_else(kernel_w_ == known, sums(known), any);
            return any;
        };
        const auto taken = [&](const std::function<Expr(Expr, int)> &index) {
            return row_of(output_row, [&](const Call *mark) { return load(sums_, index(mark->args[kColumn], mark->type.lanes())); });
        };
        const Stmt dense = taken([&](const Expr &column, int) { return column; });
        const Stmt any = taken([&](const Expr &column, int lanes) { return column * wide(stride_, lanes); });
        const Stmt second = !wide_ ? any : row_of(output_row, [&](const Call *mark) {
            return unzipped(every_second(sums_, simplify(mark->args[kColumn] * make_const(Int(32, mark->type.lanes()), 2)), false));
        });
        const Stmt planar = if_else(stride_ == 2, second, any);
        // The column's pixel, by floats: lines are short enough, and a division of integers is slow.
        const Stmt pixels = taken([&](const Expr &column, int lanes) {
            const Type real = Float(32, lanes);
            const Expr pixel = cast(Int(32, lanes), (cast(real, column) + make_const(real, 0.5)) / wide(cast<float>(pitch_), lanes));
            return column + pixel * wide((stride_ - 1) * pitch_, lanes);
        });
        Stmt result = Block::make(spread(pitch_), if_else(stride_ == 1, dense, if_else(pitch_ == 1, planar, pixels)));
        for (int lanes = std::min(kNarrow, lanes_); lanes <= 2 * lanes_; lanes *= 2) {
            result = if_else(stride_ > 1 && pitch_ % lanes == 0, Block::make(picked(lanes), dense), result);
        }
        if (wide_) {
            // Several vectors at once share what holds the places of the taps, unless these are constants.
            const auto straight = [&](int taps, int stride, const Expr &pitch) {
                return row_of(output_row, [&](const Call *mark) {
                    const int lanes = mark->type.lanes();
                    const Expr column = simplify(mark->args[kColumn] * make_const(Int(32, lanes), stride));
                    if (stride == 2) {
                        return unzipped(chain(taps, [&](int t) { return every_second(line_, simplify(column + wide(at + t / 2 * 2, lanes)), t % 2 != 0); }));
                    }
                    return chain(taps, [&](int t) { return load(line_, column + wide(at + t * pitch, lanes)); });
                }, !is_const(pitch));
            };
            for (int taps : {7, 5, 4, 3, 2, 1}) {
                result = if_else(kernel_w_ == taps && stride_ == 1, straight(taps, 1, pitch_), result);
            }
            Stmt unit = Block::make(spread(1), if_else(stride_ == 1, dense, planar));
            for (int stride : {2, 1}) {
                for (int taps : {7, 5, 4, 3, 2, 1}) {
                    unit = if_else(kernel_w_ == taps && stride_ == stride, straight(taps, stride, 1), unit);
                }
            }
            result = if_else(pitch_ == 1, unit, result);
        }
        s.add(result);
        return s.done();
    }

    static constexpr int kUnzipped[] = {0, 1, 4, 5, 2, 3, 6, 7};
    const For *rows_;
    Stmt body_;
    int lanes_;
    bool wide_;
    const Load *input_;
    std::vector<Expr> arguments_;
    Expr row_, width_, height_, row_pitch_, base_, pitch_, kernel_h_, kernel_w_, stride_, columns_, starts_, first_, inside_, lead_, line_pitch_;
    Local line_, sums_;
};

}  // namespace

Expr line_window_sum(const PoolProblem &p, const OutputVariables &v, const WindowCall &call) { return window_mark(kLineWindow, p, v, call); }

LineWindow::LineWindow(int lanes) : ReplaceRows(kLineWindow), lanes_(lanes) {}

Stmt LineWindow::replaced(const For *rows, const Stmt &body, const Call *mark) const { return Emitter(rows, body, mark, lanes_).emit(); }

}  // namespace halpool
