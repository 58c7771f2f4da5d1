#include "tap_window.hpp"

#include "lowered_ir.hpp"
#include "statements.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

using namespace Halide;
using namespace Halide::Internal;

namespace halpool {
namespace {

constexpr char kTapWindow[] = "halpool_tap_window";

Expr first_lane(const Expr &e) { return e.as<Ramp>() ? e.as<Ramp>()->base : scalar(e); }

// The code for one loop over rows.
class Emitter {
public:
    Emitter(const For *rows, const Stmt &body, const Call *mark)
        : rows_(rows), columns_(body.as<For>()), strips_(columns_ ? columns_->body.as<For>() : nullptr), body_(strips_ ? strips_->body : Stmt()), input_(scalar(mark->args[kPlane]).as<Load>()), channel_(first_lane(mark->args[kChannel])) {
        _halide_user_assert(input_ && strips_) << "the sums must be those of a row's pixels, of a load of the input\n";
        row_ = scalar(mark->args[kRow]);
        arguments_ = call_arguments(mark);
        replace_mark(body, kTapWindow, [&](const Call *each) {
            lanes_ = std::max(lanes_, place_of(each) + each->type.lanes());
            return Expr(each);
        });
    }

    Stmt emit() {
        Sequence s;
        body_ = hoist_constants(body_, s);
        width_ = s.let("width", argument(kInputW));
        height_ = s.let("height", argument(kInputH));
        row_pitch_ = s.let("row_pitch", argument(kRowPitch));
        column_pitch_ = s.let("column_pitch", argument(kColumnPitch));
        kernel_h_ = s.let("kernel_h", argument(kKernelRows));
        kernel_w_ = s.let("kernel_w", argument(kKernelColumns));
        stride_ = s.let("stride", argument(kStrideColumns));
        pad_ = s.let("pad", argument(kPadColumns));
        const Expr base = s.let("base", scalar(input_->index)), count = s.let("columns", columns_->extent);
        // Pixels whose windows begin inside the input, and those that end there.
        const Expr begin = s.let("begin", clamp((pad_ + stride_ - 1) / stride_, 0, count));
        const Expr end = s.let("end", clamp((width_ + pad_ - kernel_w_) / stride_ + 1, begin, count));
        s.add(loop("row", rows_->extent, [&](const Expr &row) {
            Sequence r;
            row_at_ = rows_->min + row;
            const Expr y = r.let("y", substitute(rows_->name, row_at_, row_) * argument(kStrideRows) - argument(kPadRows));
            const Expr from = r.let("from", clamp(-y, 0, kernel_h_));
            taps_h_ = r.let("taps_h", clamp(height_ - y, from, kernel_h_) - from);
            place_ = r.let("place", base + (y + from) * row_pitch_);
            const auto near_end = [&](const Expr &x) { return any_taps(x); };
            r.add(pixels(0, begin, near_end));
            Stmt inside = pixels(begin, end, near_end);
            for (int taps : {8, 7, 5, 4, 3, 2, 1}) {
                const Stmt rows = pixels(begin, end, [&](const Expr &x) { return known_taps(x, taps, false); });
                const Stmt one = pixels(begin, end, [&](const Expr &x) { return known_taps(x, taps, true); });
                inside = if_else(kernel_w_ == taps, if_else(taps_h_ == 1, one, rows), inside);
            }
            r.add(inside);
            r.add(pixels(end, count, near_end));
            return r.done();
        }));
        return s.done();
    }

private:
    Expr argument(int which) const { return arguments_[static_cast<std::size_t>(which - kInputW)]; }

    int place_of(const Call *mark) const {
        const auto place = as_const_int(simplify(first_lane(mark->args[kChannel]) - channel_));
        _halide_user_assert(place && *place >= 0) << "the channels of a strip must follow the first\n";
        return static_cast<int>(*place);
    }

    Stmt pixels(const Expr &from, const Expr &to, const std::function<Stmt(Expr)> &pixel) const {
        return loop("column", to - from, [&](const Expr &i) {
            return For::make(strips_->name, strips_->min, strips_->extent, ForType::Serial, Partition::Never, DeviceAPI::None, pixel(from + i));
        });
    }

    Expr load(const Expr &at) const {
        return Load::make(Float(32, lanes_), input_->name, Floats::index(at + channel_, lanes_), input_->image, input_->param, const_true(lanes_), ModulusRemainder());
    }

    // Stores pixel x of the output, whose sums `sum` holds.
    Stmt stored(const Expr &x, const Local &sum) const {
        const Stmt body = substitute(columns_->name, columns_->min + x, substitute(rows_->name, row_at_, replace_mark(body_, kTapWindow, [&](const Call *mark) {
            return sum.load(place_of(mark), mark->type.lanes());
        })));
        const auto variant = [&](int one_divisor) { return simplify(substitute(argument(kUniformDivisor).as<Variable>()->name, one_divisor, body)); };
        return if_else(argument(kUniformDivisor) == 1, variant(1), variant(0));
    }

    Stmt any_taps(const Expr &x) const {
        Sequence s;
        const Expr left = s.let("left", x * stride_ - pad_);
        const Expr from = s.let("from", clamp(-left, 0, kernel_w_)), taps = s.let("taps", clamp(width_ - left, from, kernel_w_) - from);
        const Expr at = s.let("at", place_ + (left + from) * column_pitch_);
        const Local sum("sum", lanes_), row("row", lanes_);
        s.add(sum.within(row.within(Block::make({
            sum.zero(),
            loop("tap_row", taps_h_, [&](const Expr &j) {
                return Block::make({row.zero(), loop("tap", taps, [&](const Expr &i) { return row.add(load(at + j * row_pitch_ + i * column_pitch_)); }),
                                    sum.add(row.load(0, lanes_))});
            }),
            stored(x, sum)}))));
        return s.done();
    }

    // All `taps` of each row, and of one row alone.
    Stmt known_taps(const Expr &x, int taps, bool one_row) const {
        Sequence s;
        const Expr at = s.let("at", place_ + (x * stride_ - pad_) * column_pitch_);
        const Local sum("sum", lanes_);
        const auto row = [&](const Expr &j) {
            Expr value = load(at + j * row_pitch_);
            for (int i = 1; i < taps; ++i) value = plus(value, load(at + j * row_pitch_ + i * column_pitch_));
            return value;
        };
        const Stmt rows = one_row ? sum.store(0, row(0)) : Block::make(sum.zero(), loop("tap_row", taps_h_, [&](const Expr &j) { return sum.add(row(j)); }));
        s.add(sum.within(Block::make(rows, stored(x, sum))));
        return s.done();
    }

    const For *rows_, *columns_, *strips_;
    Stmt body_;
    const Load *input_;
    int lanes_ = 0;
    std::vector<Expr> arguments_;
    Expr row_, channel_, width_, height_, row_pitch_, column_pitch_, kernel_h_, kernel_w_, stride_, pad_;
    Expr row_at_, taps_h_, place_;  // of the row that is emitted
};

}  // namespace

Expr tap_window_sum(const PoolProblem &p, const OutputVariables &v, const WindowCall &call) { return window_mark(kTapWindow, p, v, call); }

TapWindow::TapWindow() : ReplaceRows(kTapWindow) {}

Stmt TapWindow::replaced(const For *rows, const Stmt &body, const Call *mark) const { return Emitter(rows, body, mark).emit(); }

}  // namespace halpool
