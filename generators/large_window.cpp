#include "large_window.hpp"

#include "lowered_ir.hpp"
#include "statements.hpp"

#include <halpool/internal/kernel_convention.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

using namespace Halide;
using namespace Halide::Internal;

namespace halpool {
namespace {

constexpr char kLargeWindow[] = "halpool_large_window";

// Lanes d, d + 1, ... of a followed by b.
Expr shifted(const Expr &a, const Expr &b, int d) {
    const int lanes = a.type().lanes();
    if (d == 0) return a;
    std::vector<int> indices(static_cast<std::size_t>(lanes));
    for (int i = 0; i < lanes; ++i) indices[static_cast<std::size_t>(i)] = d + i;
    return Shuffle::make({a, b}, indices);
}

constexpr int kRows = kLargeBlock;
constexpr int kChunk = 4;  // vectors whose sums are added side by side
constexpr int kFewWholes = 4;  // which are added one by one
bool is_usual(int gap) { return gap % 2 == 0; }  // of odd windows

// How windows are summed along one axis, see the header.
struct Axis {
    Expr kernel, stride, wholes, gap;

    Axis(Sequence &s, const Expr &k, const Expr &by) : kernel(s.let("kernel", k)), stride(s.let("stride", by)) {
        wholes = s.let("wholes", max(kernel - stride, 0) / (kRows * stride) - 1);
        gap = s.let("gap", select(direct(), block(), kernel - (wholes + 1) * block() - stride));
    }
    Expr direct() const { return kernel < (kRows + 1) * stride; }
    Expr block() const { return kRows * stride; }
    // Where the whole blocks begin behind the oldest.
    Expr offset() const { return select(stride == 1, 0, gap); }
};

// A sum whose additions' errors are kept beside it (Knuth's TwoSum): however many there are, it errs as one of them does.
struct CompensatedSum {
    Expr value, error;

    CompensatedSum plus_term(Sequence &s, const Expr &term) const {
        const Expr sum = s.let("sum", plus(value, term)), added = s.let("added", strict_float(sum - value));
        return {sum, s.let("error", plus(error, plus(strict_float(value - strict_float(sum - added)), strict_float(term - added))))};
    }
    // Infinities and NaNs are in the value; the error of adding them is NaN.
    Expr rounded() const { return Select::make(strict_float(value - value) == make_zero(value.type()), plus(value, error), value); }
};

// The sums of the latest whole blocks, each a row of `pitch` floats, as two stacks again: blocks are numbered, and of each `count`
// on end, a group, there are the sums from each to the last, and, while blocks of the next group enter, the sum of those.
// Of a block's rest, see two_stacks.
struct Wholes {
    Expr count, slots, pitch;
    Floats blocks, sums, errors, rests;

    static Expr size(const Axis &axis, const Expr &pitch) { return (large_wholes(axis.kernel, axis.stride) + 4) * pitch; }
    Wholes(Sequence &s, const Axis &axis, const Expr &row_floats, const std::string &memory, const Expr &begin)
        : count(s.let("count", max(axis.wholes, 0))), slots(s.let("slots", max(count, 1))), pitch(row_floats), blocks{memory, s.let("blocks", begin + 4 * row_floats)},
          sums{memory, begin}, errors{memory, s.let("errors", begin + row_floats)}, rests{memory, s.let("rests", begin + 2 * row_floats)} {}

    Expr slot(const Expr &block) const { return block % slots; }
    // Floats may be visited twice: what the next block will find lies apart from what this one does.
    Expr rest(const Expr &block, const Expr &at, int lanes) const { return rests.load((block & 1) * pitch + at, lanes); }
    Stmt leave_rest(const Expr &block, const Expr &at, const Expr &value) const { return rests.store(((block + 1) & 1) * pitch + at, value); }
    Stmt enter(const Expr &slot, const Expr &at, const Expr &value) const { return blocks.store(slot * pitch + at, value); }

    // put(at, sum of the `count` blocks before the one in `slot`), for `floats` floats, whole vectors, from `from` on, each once. To be called
    // before each block enters, and begin() before that, once, when `count` of them have.
    Stmt middles(const Expr &slot, const Expr &from, const Expr &floats, int lanes, const std::function<Stmt(Expr, Expr)> &put) const {
        const Stmt few = each(floats, lanes, [&](const Expr &at, int n) {
            const Local sum("sum", n);
            return sum.within(Block::make({sum.zero(), loop("block", count, [&](const Expr &i) {
                return sum.add(blocks.load(select(slot + i >= count, slot + i - count, slot + i) * pitch + from + at, n));
            }), put(at, sum.load(0, n))}));
        });
        const Stmt next_group = each(floats, lanes, [&](const Expr &at, int n) {
            const Expr zero = make_zero(Float(32, n));
            return add_backwards(0, from + at, n, [&](const Expr &sum) { return Block::make(keep({zero, zero}, from + at), put(at, sum)); });
        });
        const Stmt same_group = each(floats, lanes, [&](const Expr &at, int n) {
            Sequence s;
            const CompensatedSum sum = CompensatedSum{sums.load(from + at, n), errors.load(from + at, n)}.plus_term(s, blocks.load((slot - 1) * pitch + from + at, n));
            s.add(keep(sum, from + at));
            s.add(put(at, plus(blocks.load(slot * pitch + from + at, n), sum.rounded())));
            return s.done();
        });
        return if_else(count <= kFewWholes, few, if_else(slot == 0, next_group, same_group));
    }
    Stmt begin(const Expr &slot, const Expr &from, const Expr &floats, int lanes) const {
        const Stmt sums_so_far = each(floats, lanes, [&](const Expr &at, int n) {
            const Local value("value", n), error("error", n);
            const Stmt earlier = loop("block", slot - 1, [&](const Expr &i) { return add(value, error, blocks.load(i * pitch + from + at, n)); });
            const Stmt this_group = value.within(error.within(Block::make({value.zero(), error.zero(), earlier, keep({value.load(0, n), error.load(0, n)}, from + at)})));
            return Block::make(add_backwards(slot, from + at, n, nullptr), this_group);
        });
        return if_else(count > kFewWholes && slot > 0, sums_so_far);
    }

private:
    Stmt keep(const CompensatedSum &sum, const Expr &at) const { return Block::make(sums.store(at, sum.value), errors.store(at, sum.error)); }
    static Stmt add(const Local &value, const Local &error, const Expr &term) {
        Sequence s;
        const CompensatedSum sum = CompensatedSum{value.load(0, value.size), error.load(0, value.size)}.plus_term(s, term);
        s.add(value.store(0, sum.value));
        s.add(error.store(0, sum.error));
        return s.done();
    }
    // The sums from each block, down to the one in `slot`, to the group's last; put(the largest).
    Stmt add_backwards(const Expr &slot, const Expr &at, int n, const std::function<Stmt(Expr)> &put) const {
        const Local value("value", n), error("error", n);
        const Expr rounded = CompensatedSum{value.load(0, n), error.load(0, n)}.rounded();
        const Stmt all = loop("block", count - slot, [&](const Expr &behind) {
            Sequence s;
            const Expr row = s.let("row", (count - 1 - behind) * pitch + at);
            s.add(add(value, error, blocks.load(row, n)));
            s.add(blocks.store(row, rounded));
            return s.done();
        });
        std::vector<Stmt> steps = {value.zero(), error.zero(), all};
        if (put) steps.push_back(put(rounded));
        return value.within(error.within(Block::make(steps)));
    }
    static Stmt each(const Expr &floats, int lanes, const std::function<Stmt(Expr, int)> &body) {
        return loop("vector", floats / lanes, [&](const Expr &i) { return body(i * lanes, lanes); });
    }
};

// The code for one loop over rows.
class Emitter {
public:
    Emitter(const For *rows, Stmt body, const Call *mark, int lanes)
        : rows_(rows), body_(std::move(body)), lanes_(lanes), planar_(is_const_one(simplify(scalar(mark->args[kPlanar])))),
          input_(scalar(mark->args[kPlane]).as<Load>()) {
        _halide_user_assert(input_) << "the plane must be a load of the input\n";
        row_ = scalar(mark->args[kRow]);
        arguments_ = call_arguments(mark);
        const Ramp *channels = mark->args[kChannel].as<Ramp>();
        strip_ = !planar_ && channels;
        channel_ = strip_ ? channels->base : Expr(0);
        if (strip_) lanes_ = channels->lanes;
    }

    Stmt emit() {
        Sequence s;
        width_ = s.let("width", argument(kInputW));
        height_ = s.let("height", argument(kInputH));
        row_pitch_ = s.let("row_pitch", argument(kRowPitch));
        base_ = s.let("plane", scalar(input_->index));
        step_ = planar_ ? Expr(1) : strip_ ? Expr(lanes_) : s.let("step", argument(kChannels));
        columns_ = s.let("columns", argument(kColumns));
        y_ = std::make_unique<Axis>(s, argument(kKernelRows), argument(kStrideRows));
        x_ = std::make_unique<Axis>(s, argument(kKernelColumns), argument(kStrideColumns));
        begin_ = s.let("begin", argument(kFirstColumn) * x_->stride - argument(kPadColumns));
        s.add(strip_ ? strips() : lines());
        return LetStmt::make(memory_, Variable::make(Handle(), "__user_context"), s.done());
    }

private:
    Expr argument(int which) const { return arguments_[static_cast<std::size_t>(which - kInputW)]; }
    // The input row where the windows of a block's first output row begin; blocks are counted in this loop.
    Expr start(const Expr &block) const { return output_row(block * kRows) * y_->stride - argument(kPadRows); }
    // Counted from the output's first row, whatever the loop counts from.
    Expr output_row(const Expr &of_loop) const { return substitute(rows_->name, simplify(rows_->min + of_loop), row_); }
    Floats place(Sequence &s, const Expr &floats) {
        const Floats result{memory_, end_};
        end_ = s.let("end", end_ + floats);
        return result;
    }
    Wholes place_wholes(Sequence &s, const Axis &axis, const Expr &pitch) {
        const Expr from = end_;
        end_ = s.let("end", end_ + Wholes::size(axis, pitch));
        return {s, axis, pitch, memory_, from};
    }

    // ---- Along y

    enum class Rows { inside, outside, any };  // where they lie of the input, all of them: any is tested row by row

    // Columns of the input, whose sums go to `at(i, column)` of output row i; `ring`: place in a row of wholes.
    struct Columns {
        Expr first, floats, ring;
        std::function<Expr(Expr, Expr)> at;
    };

    // Visits the floats of a row of the columns: body(their place in the row, in an input row, lanes).
    enum class Widths { any, whole, single };
    Stmt floats(const Columns &columns, int chunk, const std::function<Stmt(Expr, Expr, int)> &body, Widths widths = Widths::any) const {
        if (strip_) {
            const Expr count = columns.floats / lanes_;
            const auto pixels = [&](int together) {
                return loop("column", (count + together - 1) / together, [&](const Expr &group) {
                    Sequence s;
                    const Expr at = s.let("at", min(group * together, count - together));
                    s.add(body(at * lanes_, (columns.first + at) * argument(kColumnPitch) + channel_, lanes_ * together));
                    return s.done();
                });
            };
            return chunk > 1 ? if_else(count >= chunk, pixels(chunk), pixels(1)) : pixels(1);
        }
        const auto vectors = [&](int lanes) {
            return loop("float", (columns.floats + lanes - 1) / lanes, [&](const Expr &vector) {
                Sequence s;
                const Expr at = s.let("at", min(vector * lanes, columns.floats - lanes));
                s.add(body(at, columns.first * step_ + at, lanes));
                return s.done();
            });
        };
        if (widths == Widths::whole) return vectors(lanes_);
        if (widths == Widths::single) return vectors(1);
        const Stmt result = if_else(columns.floats >= lanes_, vectors(lanes_), vectors(1));
        return chunk > 1 ? if_else(columns.floats >= lanes_ * chunk, vectors(lanes_ * chunk), result) : result;
    }

    Expr row(const Expr &y, const Expr &in, int lanes, bool checked) const {
        const Expr at = checked ? clamp(y, 0, height_ - 1) : y;
        const Expr place = base_ + at * row_pitch_ + in;
        const auto load = [&](const Expr &index, int count) {
            return Load::make(Float(32, count), input_->name, Floats::index(index, count), input_->image, input_->param, const_true(count), ModulusRemainder());
        };
        Expr value;
        if (strip_ && lanes > lanes_) {
            std::vector<Expr> pixels;
            for (int i = 0; i < lanes / lanes_; ++i) pixels.push_back(load(place + i * argument(kColumnPitch), lanes_));
            value = Shuffle::make_concat(pixels);
        } else {
            value = load(place, lanes);
        }
        if (!checked) return value;
        const Expr inside = y >= 0 && y < height_;
        return Select::make(lanes == 1 ? inside : Broadcast::make(inside, lanes), value, make_zero(value.type()));
    }
    // Of those rows the ones inside the input.
    Stmt add_rows(const Local &sum, const Expr &y, const Expr &count, const Expr &in, int lanes) const {
        const Expr from = clamp(y, 0, height_);
        return loop("row", clamp(y + count, 0, height_) - from, [&](const Expr &t) { return sum.add(row(from + t, in, lanes, false)); });
    }

    // Bits do not depend on where a call begins.
    Expr first_block() const { return output_row(0) / kRows; }
    Expr rounded_floats(const Columns &columns) const { return round_up(columns.floats, lanes_); }

    // What is below the oldest block of the first windows.
    Stmt first_wholes(const Columns &columns, const Wholes &wholes) const {
        const Stmt rest = floats(columns, 1, [&](const Expr &at, const Expr &in, int lanes) {
            const Local sum("sum", lanes);
            return sum.within(Block::make({sum.zero(), add_rows(sum, start(0) + (y_->wholes + 1) * kRows, y_->gap, in, lanes),
                                           wholes.leave_rest(first_block() + y_->wholes, columns.ring + at, sum.load(0, lanes))}));
        });
        const Stmt all = loop("first_whole", y_->wholes, [&](const Expr &t) {
            Sequence s;
            const Expr y = s.let("y", start(0) + (t + 1) * y_->block() + y_->offset()), slot = s.let("slot", wholes.slot(first_block() + t + 1));
            s.add(floats(columns, kChunk, [&](const Expr &at, const Expr &in, int lanes) {
                const Local group("group", lanes), sum("sum", lanes);
                const Stmt strided = group.within(loop("group", kRows, [&](const Expr &i) {
                    return Block::make({group.zero(), add_rows(group, y + i * y_->stride, y_->stride, in, lanes), sum.add(group.load(0, lanes))});
                }));
                return sum.within(Block::make({sum.zero(), if_else(y_->stride == 1, add_rows(sum, y, kRows, in, lanes), strided), wholes.enter(slot, columns.ring + at, sum.load(0, lanes))}));
            }));
            return s.done();
        });
        const Stmt begin = wholes.begin(wholes.slot(first_block() + y_->wholes + 1), columns.ring, rounded_floats(columns), lanes_);
        return if_else(!y_->direct(), Block::make({all, begin, if_else(y_->stride == 1, rest)}));
    }

    // The sums of kRows output rows from the one on whose windows begin in row y. block: the one that enters the wholes.
    Stmt column_sums(const Columns &columns, const Wholes &wholes, const Expr &block, const Expr &y) const {
        Sequence s;
        const Expr slot = s.let("slot", wholes.slot(block));
        const Stmt middles = wholes.middles(slot, columns.ring, rounded_floats(columns), lanes_, [&](const Expr &at, const Expr &sum) {
            return if_else(y_->stride == 1, middle_.store(at, sum), middle_.store(at, plus(sum, middle_.load(at, sum.type().lanes()))));
        });
        const Expr newest = y + y_->kernel - 1;
        const auto stacks = [&](int gap, Rows oldest, Rows newer, Widths widths = Widths::whole) {
            return floats(columns, 1, [&](const Expr &at, const Expr &in, int lanes) {
                const auto taps = [&](const Expr &from, Rows rows) -> Tap {
                    if (rows == Rows::outside) return nullptr;
                    return [=](int i) { return row(from + i, in, lanes, rows == Rows::any); };
                };
                Sequence stack;
                stack.add(two_stacks({middle_.load(at, lanes), gap, y_->gap}, wholes, block, slot, columns.ring + at, taps(y, oldest), taps(newest, newer),
                                     [&](int i, const Expr &value) { return vertical_.store(columns.at(i, at), value); }));
                return stack.done();
            }, widths);
        };
        // Of strides above 1.
        const Stmt gaps = floats(columns, kChunk, [&](const Expr &at, const Expr &in, int lanes) {
            const Local sum("sum", lanes);
            const auto add = [&](const Local &to, const Expr &from, const Expr &n) { return add_rows(to, y + y_->block() + from, n, in, lanes); };
            return sum.within(Block::make({sum.zero(), in_eights(sum, y_->gap, add), middle_.store(at, sum.load(0, lanes))}));
        });
        const Stmt strided = floats(columns, 1, [&](const Expr &at, const Expr &in, int lanes) {
            const auto add = [&](const Local &sum, const Expr &first) { return add_rows(sum, y + first, y_->stride, in, lanes); };
            return strided_two_stacks(lanes, middle_.load(at, lanes), [&](const Local &sum, int i) { return add(sum, i * y_->stride); },
                                      [&](const Local &sum, int i) { return add(sum, y_->kernel + (i - 1) * y_->stride); },
                                      [&](int i, const Expr &value) { return vertical_.store(columns.at(i, at), value); },
                                      [&](const Expr &sum) { return wholes.enter(slot, columns.ring + at, sum); });
        });
        const Stmt direct = floats(columns, 1, [&](const Expr &at, const Expr &in, int lanes) {
            return loop("row", kRows, [&](const Expr &i) {
                const Local sum("sum", lanes);
                const auto add = [&](const Local &to, const Expr &from, const Expr &n) { return add_rows(to, y + i * y_->stride + from, n, in, lanes); };
                return sum.within(Block::make({sum.zero(), in_eights(sum, y_->kernel, add), vertical_.store(columns.at(i, at), sum.load(0, lanes))}));
            });
        });
        const Expr inside = y >= 0 && newest + kRows <= height_, above = y + kRows <= 0, below = newest >= height_;
        const Stmt beside = if_else(above, if_else(below, stacks(-1, Rows::outside, Rows::outside), stacks(-1, Rows::outside, Rows::any)),
                                    if_else(below, stacks(-1, Rows::any, Rows::outside), stacks(-1, Rows::any, Rows::any)));
        const bool every_gap = planar_ || strip_;  // of few channels the columns are what takes time
        Stmt within = stacks(every_gap ? 1 : -1, Rows::inside, Rows::inside);
        for (int gap = 0; gap < kRows; ++gap) {
            if (is_usual(gap) || (every_gap && gap != 1)) within = if_else(y_->gap == gap, stacks(gap, Rows::inside, Rows::inside), within);
        }
        Stmt unit = if_else(inside, within, beside);
        if (!strip_) unit = if_else(columns.floats >= lanes_, unit, stacks(-1, Rows::any, Rows::any, Widths::single));
        s.add(if_else(y_->direct(), direct, Block::make({if_else(y_->stride > 1, gaps), middles, if_else(y_->stride == 1, unit, strided)})));
        return s.done();
    }

    // Of windows that move by one: oldest(i) and newest(i) are the values before and behind what all of them cover, but for
    // the gap, whose sum is wholes.rest(): it and the newest values up to there are the block that enters, and what is behind
    // is the next gap. put(i, sum) for the windows in their order. Without oldest, or newest: these are zeros. gap: known, or -1.
    struct Middle {
        Expr sum;
        int known_gap;
        Expr gap;
    };
    using Tap = std::function<Expr(int)>;
    static Stmt two_stacks(const Middle &middle, const Wholes &wholes, const Expr &block, const Expr &slot, const Expr &at, const Tap &oldest, const Tap &newest,
                           const std::function<Stmt(int, const Expr &)> &put) {
        Sequence s;
        const int lanes = middle.sum.type().lanes(), gap = middle.known_gap;
        std::vector<Expr> suffix(kRows, middle.sum);
        if (oldest) {
            Expr sum = middle.sum;
            for (int i = kRows; i-- > 0;) sum = suffix[static_cast<std::size_t>(i)] = s.let("suffix", plus(sum, oldest(i)));
        }
        Expr prefix, rest;
        const Expr left = wholes.rest(block, at, lanes), none = make_zero(left.type());
        if (gap > 0) prefix = s.let("gap", left);
        // No gap: nothing was left for this block.
        if (gap < 0) prefix = s.let("gap", Select::make(lanes == 1 ? middle.gap > 0 : Broadcast::make(middle.gap > 0, lanes), left, none));
        if (!newest) {
            for (int i = 0; i < kRows; ++i) s.add(put(i, plus(suffix[static_cast<std::size_t>(i)], prefix)));
            s.add(wholes.enter(slot, at, prefix));
            s.add(wholes.leave_rest(block, at, none));
            return s.done();
        }
        const Local behind("behind", lanes);
        if (gap < 0) s.add(behind.zero());
        for (int i = 0; i < kRows; ++i) {
            const Expr tap = s.let("tap", newest(i));
            prefix = prefix.defined() ? s.let("prefix", plus(prefix, tap)) : tap;
            s.add(put(i, plus(suffix[static_cast<std::size_t>(i)], prefix)));
            if (gap < 0) {
                s.add(if_else(middle.gap == kRows - 1 - i, Block::make(wholes.enter(slot, at, prefix), behind.zero()), behind.add(tap)));
            } else if (i == kRows - 1 - gap) {
                s.add(wholes.enter(slot, at, prefix));
            } else if (i > kRows - 1 - gap) {
                rest = rest.defined() ? s.let("rest", plus(rest, tap)) : tap;
            }
        }
        if (gap < 0) s.add(wholes.leave_rest(block, at, behind.load(0, lanes)));
        if (rest.defined()) s.add(wholes.leave_rest(block, at, rest));
        return gap < 0 ? behind.within(s.done()) : s.done();
    }

    using AddTaps = std::function<Stmt(const Local &, const Expr &, const Expr &)>;
    // Adds `count` taps by 8: add(sum, from, count) adds those one by one.
    static Stmt in_eights(const Local &sum, const Expr &count, const AddTaps &add) {
        const Local group("group", sum.size);
        const Stmt several = group.within(loop("eight", (count + 7) / 8, [&](const Expr &eight) {
            return Block::make({group.zero(), add(group, eight * 8, min(count - eight * 8, 8)), sum.add(group.load(0, sum.size))});
        }));
        return if_else(count <= 8, add(sum, 0, count), several);
    }

    // Of windows that move by more. add_oldest(sum, i) and add_newest(sum, i) add all values of such a step.
    using AddGroup = std::function<Stmt(const Local &, int)>;
    static Stmt strided_two_stacks(int lanes, const Expr &middle, const AddGroup &add_oldest, const AddGroup &add_newest,
                                   const std::function<Stmt(int, const Expr &)> &put, const std::function<Stmt(const Expr &)> &enter) {
        const Local suffix("suffix", lanes * (kRows + 1)), prefix("prefix", lanes), group("group", lanes);
        std::vector<Stmt> all = {suffix.store(kRows * lanes, make_zero(Float(32, lanes))), prefix.zero()};
        for (int i = kRows; i-- > 0;) {
            all.insert(all.end(), {group.zero(), add_oldest(group, i), suffix.store(i * lanes, plus(suffix.load((i + 1) * lanes, lanes), group.load(0, lanes)))});
        }
        for (int i = 0; i < kRows; ++i) {
            all.insert(all.end(), {group.zero(), add_newest(group, i), prefix.add(group.load(0, lanes)),
                                   put(i, plus(plus(suffix.load(i * lanes, lanes), middle), prefix.load(0, lanes)))});
        }
        all.push_back(enter(prefix.load(0, lanes)));
        return suffix.within(prefix.within(group.within(Block::make(all))));
    }

    // ---- Rows of floats: planes, and pixels of fewer channels than a vector has lanes

    Stmt lines() {
        Sequence s;
        const Expr end = begin_ + (columns_ - 1) * x_->stride + x_->kernel;
        // Whole lines of memory, as far as rows are such: vectors that lie across two take twice the time.
        const int aligned = planar_ ? lanes_ : 1;
        const Expr first = s.let("first", clamp(begin_, 0, width_) / aligned * aligned), inside = s.let("inside", clamp(end, first, width_) - first);
        pitch_ = s.let("pitch", large_line_pitch(columns_, x_->kernel, x_->stride, step_));
        vertical_ = place(s, kRows * pitch_);
        middle_ = place(s, pitch_);
        across_ = place(s, pitch_);
        whole_ = place(s, pitch_);
        if (!planar_) four_ = place(s, 2 * pitch_);
        const Wholes wholes = place_wholes(s, *y_, pitch_);
        // Sums are stored where loads of whole vectors will find them.
        lead_ = s.let("lead", (first - begin_) * step_);
        align_ = s.let("align", -lead_ & (lanes_ - 1));
        const Expr lead_at = s.let("lead_at", lead_ + align_);
        floats_ = s.let("floats", inside * step_);
        const Columns all{first, floats_, 0, [&](const Expr &i, const Expr &at) { return lead_at + at + i * pitch_; }};
        starts_ = s.let("starts", ((columns_ - 1) * x_->stride + 1) * step_);
        whole_vectors_ = s.let("whole_vectors", x_->kernel / lanes_);
        s.add(loop("fill", kRows * pitch_ / lanes_, [&](const Expr &at) { return vertical_.store(at * lanes_, make_zero(Float(32, lanes_))); }));
        s.add(first_wholes(all, wholes));
        s.add(loop("block", (rows_->extent + kRows - 1) / kRows, [&](const Expr &block) {
            Sequence b;
            const Expr y = b.let("y", start(block));
            b.add(column_sums(all, wholes, first_block() + block + y_->wholes + 1, y));
            b.add(loop("row", min(rows_->extent - block * kRows, kRows), [&](const Expr &i) {
                const Stmt sums = planar_ ? chain(i) : by_eights(i);
                return Block::make(sums, outputs(block * kRows + i));
            }));
            return b.done();
        }));
        return s.done();
    }

    // The sums of the windows of row i that begin at each float, into across_: of as many floats as a vector has, by
    // doubling, which `count` of add up to a window but for `rest` floats, and those are among the doubled ones.
    Stmt chain(const Expr &i) {
        const Expr count = whole_vectors_, first = count + levels() - 1, vectors = (starts_ + lanes_ - 1) / lanes_ + first;
        outputs_at_ = first * lanes_;
        Carried carried;
        for (int l = 0; l < levels(); ++l) {
            carried.sums.emplace_back("sums", lanes_);
            carried.parts.emplace_back("parts", lanes_);
        }
        std::vector<Local> earlier;
        for (int n = 0; n < kFewVectors; ++n) earlier.emplace_back("whole", lanes_);
        Stmt result = in_groups(i, carried, count, vectors);
        for (int few = 0; few < kFewVectors; ++few) {
            // The wholes of the last vectors stay in registers.
            const auto put = [&](const Expr &at, const Expr &whole, const Expr &part) {
                Sequence s;
                Expr sum = part, newer = whole;
                std::vector<Stmt> kept;
                for (int n = 0; n < few; ++n) {
                    const Expr old = s.let("whole", earlier[static_cast<std::size_t>(n)].load(0, lanes_));
                    sum = plus(sum, old);
                    kept.push_back(earlier[static_cast<std::size_t>(n)].store(0, newer));
                    newer = old;
                }
                s.add(across_.store(at, sum));
                for (const Stmt &each : kept) s.add(each);
                return s.done();
            };
            const Stmt all = by_rest([&](int rest) { return loop("vector", vectors, [&](const Expr &vector) { return doubled(i, vector, rest, carried, put); }); });
            result = if_else(count == few, all, result);
        }
        for (const std::vector<Local> *locals : {&carried.sums, &carried.parts, &earlier}) {
            for (const Local &each : *locals) result = each.within(Block::make(each.zero(), result));
        }
        return result;
    }

    static constexpr int kFewVectors = 4;
    int levels() const {
        int levels = 0;
        while (1 << levels < lanes_) ++levels;
        return levels;
    }
    Stmt by_rest(const std::function<Stmt(int)> &variant) const {
        Stmt result = variant(0);
        for (int rest = 1; rest < lanes_; ++rest) result = if_else(x_->kernel % lanes_ == rest, variant(rest), result);
        return result;
    }
    // Of the last vectors, by level: the sums of 2^level floats, and what of the rest was found in them.
    struct Carried {
        std::vector<Local> sums, parts;
    };

    // Vectors in groups of `count`: the `count` before a vector are those of its group before it, whose sum grows, and the last ones of the
    // group before, whose sums from each to its end are ready. Four additions, however many there are, and behind the input two. What the
    // first group finds goes into sums that mean nothing.
    Stmt in_groups(const Expr &i, const Carried &carried, const Expr &count, const Expr &vectors) const {
        Sequence s;
        // The first vector whose taps are not all zeros, and the first behind the last whose sums are not.
        const Expr begin = s.let("data_begin", clamp((lead_ - lanes_ + 2) / lanes_, 0, count));
        const Expr end = s.let("data_end", (lead_ + floats_ + lanes_ - 1) / lanes_ + levels() - 1);
        // Up to kMany are added one by one to the compensated sum of those before.
        constexpr int kMany = 16;
        const Local sum("sum", lanes_), many("many", lanes_), errors("errors", lanes_), group_sum("group_sum", lanes_);
        // body(first, n) adds n vectors to `sum`; whole_ holds each, at place(vector), before that or after.
        using Place = std::function<Expr(Expr)>;
        enum class Held { before, after };
        const auto by_many = [&](const Expr &from, const Expr &to, const std::function<Stmt(Expr, Expr)> &body, Held held, const Place &place) {
            return Block::make({sum.zero(), many.zero(), errors.zero(), loop("many", (to - from + kMany - 1) / kMany, [&](const Expr &n) {
                Sequence m, fold;
                const Expr first = m.let("first", from + n * kMany), more = to - first > kMany;
                const Stmt add = Block::make(group_sum.zero(), loop("added", kMany, [&](const Expr &i) { return group_sum.add(whole_.load(place(first + i), lanes_)); }));
                const CompensatedSum all = CompensatedSum{many.load(0, lanes_), errors.load(0, lanes_)}.plus_term(fold, group_sum.load(0, lanes_));
                for (const Stmt &each : {many.store(0, all.value), errors.store(0, all.error), sum.store(0, all.rounded())}) fold.add(each);
                if (held == Held::before) m.add(if_else(more, add));
                m.add(body(first, min(to - first, kMany)));
                m.add(if_else(more, held == Held::before ? fold.done() : Block::make(add, fold.done())));
                return m.done();
            })});
        };
        // The last group is a whole one: behind the first, which may begin before the first vector, there are as few as can be.
        const Expr groups = s.let("groups", (vectors + count - 1) / count);
        s.add(loop("group", groups, [&](const Expr &group) {
            Sequence g;
            const Expr first = g.let("group_begin", vectors - (groups - group) * count);
            const Expr from = g.let("from", clamp(begin - first, 0, count)), to = g.let("to", clamp(end - first, from, count));
            const Place forwards = [&](const Expr &vector) { return vector * lanes_; }, backwards = [&](const Expr &vector) { return (count - 1 - vector) * lanes_; };
            const auto summed = [&](const Expr &begins, const Expr &n) {
                return by_rest([&](int rest) {
                    return loop("vector", n, [&](const Expr &vector) {
                        const Expr place = forwards(begins + vector);
                        return doubled(i, first + begins + vector, rest, carried, [&](const Expr &at, const Expr &whole, const Expr &part) {
                            return Block::make({across_.store(at, plus(part, plus(sum.load(0, lanes_), whole_.load(place, lanes_)))), sum.add(whole), whole_.store(place, whole)});
                        });
                    });
                });
            };
            g.add(by_many(from, to, summed, Held::after, forwards));
            g.add(loop("behind", count - to, [&](const Expr &vector) {
                const Expr at = (to + vector) * lanes_;
                return Block::make(across_.store(first * lanes_ + at, plus(sum.load(0, lanes_), whole_.load(at, lanes_))), whole_.store(at, make_zero(Float(32, lanes_))));
            }));
            const auto suffixes = [&](const Expr &begins, const Expr &n) {
                return loop("suffix", n, [&](const Expr &vector) {
                    const Expr at = backwards(begins + vector);
                    return Block::make(sum.add(whole_.load(at, lanes_)), whole_.store(at, sum.load(0, lanes_)));
                });
            };
            g.add(if_else(group < groups - 1, Block::make(by_many(0, count - from, suffixes, Held::before, backwards),
                                                          loop("before", from, [&](const Expr &vector) { return whole_.store(vector * lanes_, sum.load(0, lanes_)); }))));
            return g.done();
        }));
        return sum.within(many.within(errors.within(group_sum.within(s.done()))));
    }

    // put(place, sum of lanes_ floats, sum of `rest` floats) for a vector; the first levels() - 1 mean nothing.
    Stmt doubled(const Expr &i, const Expr &vector, int rest, const Carried &carried, const std::function<Stmt(Expr, Expr, Expr)> &put) const {
        Sequence v;
        const Expr at = v.let("at", vector * lanes_);
        // The first doubling by loads, of which there are few: shuffles are what limits this loop.
        const auto tap = [&](int t) { return vertical_.load(i * pitch_ + align_ + at + t, lanes_); };
        Expr newest = v.let("doubled", plus(tap(0), tap(1))), part;
        std::vector<Stmt> kept;
        const auto carry = [&](const Local &by, const Expr &value) {
            const Expr earlier = v.let("earlier", by.load(0, lanes_));
            kept.push_back(by.store(0, value));
            return earlier;
        };
        if (rest & 1) part = carry(carried.parts[0], tap(rest - 1));
        for (int l = 1; l < levels(); ++l) {
            const int taps = 1 << l;
            const Expr older = carry(carried.sums[static_cast<std::size_t>(l)], newest);
            if (rest & taps) {
                const Expr piece = v.let("piece", shifted(older, newest, rest & ~(2 * taps - 1)));
                part = part.defined() ? v.let("part", plus(part, piece)) : piece;
            }
            newest = v.let("doubled", plus(older, shifted(older, newest, taps)));
            if (part.defined() && l + 1 < levels()) part = carry(carried.parts[static_cast<std::size_t>(l)], part);
        }
        v.add(put(at, newest, part.defined() ? part : make_zero(Float(32, lanes_))));
        for (const Stmt &each : kept) v.add(each);
        return v.done();
    }

    // The same where taps lie step_ floats apart: columns are added by 4 and by 8, and windows from those.
    Stmt by_eights(const Expr &i) {
        outputs_at_ = 0;
        const int lanes = lanes_ * kChunk;
        Sequence s;
        const Expr eights = s.let("eights", x_->kernel / 8), starts = s.let("starts", round_up(starts_, lanes));
        const Expr eight_count = s.let("eight_count", select(eights > 0, round_up(starts + 8 * (eights - 1) * step_, lanes), 0));
        const Expr four_count = s.let("four_count", round_up(max(eight_count + 4 * step_, starts + 8 * eights * step_), lanes));
        const Expr from = s.let("from", i * pitch_ + align_);
        const auto tap = [&](const Expr &at, int t) { return vertical_.load(from + at + t * step_, lanes); };
        s.add(loop("fours", four_count / lanes, [&](const Expr &vector) {
            const Expr at = vector * lanes;
            return four_.store(at, plus(plus(tap(at, 0), tap(at, 1)), plus(tap(at, 2), tap(at, 3))));
        }));
        s.add(loop("eights", eight_count / lanes, [&](const Expr &vector) {
            const Expr at = vector * lanes;
            return whole_.store(at, plus(four_.load(at, lanes), four_.load(at + 4 * step_, lanes)));
        }));
        Stmt sums;
        for (int rest = 0; rest < 8; ++rest) {
            const Stmt variant = loop("sums", starts / lanes, [&](const Expr &chunk) {
                const Local sum("sum", lanes);
                const Expr at = chunk * lanes, behind = at + eights * 8 * step_;
                const auto eight = [&](const Expr &n) { return whole_.load(at + n * 8 * step_, lanes); };
                Expr tail;
                const auto add = [&](const Expr &value) { tail = tail.defined() ? plus(tail, value) : value; };
                if (rest & 4) add(four_.load(behind, lanes));
                if (rest & 2) add(plus(tap(behind, rest & 4), tap(behind, (rest & 4) + 1)));
                if (rest & 1) add(tap(behind, rest - 1));
                if (!tail.defined()) tail = make_zero(Float(32, lanes));
                return sum.within(Block::make({
                    sum.store(0, tail),
                    in_eights(sum, eights / 4, [&](const Local &to, const Expr &from, const Expr &n) {
                        return loop("fours", n, [&](const Expr &f) {
                            const Expr first = (from + f) * 4;
                            return to.add(plus(plus(eight(first), eight(first + 1)), plus(eight(first + 2), eight(first + 3))));
                        });
                    }),
                    loop("ones", eights % 4, [&](const Expr &t) { return sum.add(eight(eights / 4 * 4 + t)); }),
                    across_.store(at, sum.load(0, lanes)),
                }));
            });
            sums = sums.defined() ? if_else(x_->kernel % 8 == rest, variant, sums) : variant;
        }
        s.add(sums);
        return s.done();
    }

    // The loops over one row's outputs, for what is usual and for the rest.
    Stmt outputs(const Expr &row) const {
        const Expr uniform = argument(kUniformDivisor), stride = argument(kStrideColumns);
        const auto variant = [&](bool dense, bool one_divisor) {
            std::map<std::string, Expr> known;
            if (dense) known[stride.as<Variable>()->name] = 1;
            known[uniform.as<Variable>()->name] = one_divisor ? 1 : 0;
            const Stmt loops = substitute(rows_->name, rows_->min + row, replace_mark(body_, kLargeWindow, [&](const Call *mark) { return window(mark); }));
            return simplify(substitute(known, loops));
        };
        const auto by_divisor = [&](bool dense) { return if_else(uniform == 1, variant(dense, true), variant(dense, false)); };
        return if_else(stride == 1, by_divisor(true), by_divisor(false));
    }
    // What the mark stands for in a row whose sums are in across_.
    Expr window(const Call *mark) const {
        const Expr column = mark->args[kColumn], stride = argument(kStrideColumns);
        const int lanes = mark->type.lanes();
        const auto wide = [&](const Expr &e) { return lanes == 1 || e.type().is_vector() ? e : Broadcast::make(e, lanes); };
        Expr at = wide(column) * wide(stride);
        if (!planar_) at = at * step_ + mark->args[kChannel];
        return Load::make(mark->type, across_.name, simplify(at + wide(across_.begin + outputs_at_)), Buffer<>(), Parameter(), const_true(lanes), ModulusRemainder());
    }

    // ---- Strips: pixels of as many channels as a vector has lanes

    Stmt strips() {
        Sequence s;
        const Expr block = x_->block(), blocks = s.let("ring_blocks", x_->wholes + 3), before = s.let("before", x_->wholes + 2);
        const Expr origin = s.let("origin", begin_ + x_->gap - block), total = s.let("total", (columns_ + kRows - 1) / kRows + before);
        const Expr first = s.let("first", clamp(origin, 0, width_)), end = s.let("last", clamp(origin + block * total, first, width_));
        block_floats_ = s.let("block_floats", block * (kRows * lanes_));
        vertical_ = place(s, block_floats_ * (blocks + 1));
        middle_ = place(s, block * lanes_);
        across_ = place(s, kRows * lanes_);
        const Wholes across = place_wholes(s, *x_, kRows * lanes_), down = place_wholes(s, *y_, large_strip_pitch(columns_, x_->kernel, x_->stride, Expr(lanes_)));
        s.add(first_wholes({first, s.let("floats", (end - first) * lanes_), 0, nullptr}, down));
        s.add(loop("block", (rows_->extent + kRows - 1) / kRows, [&](const Expr &row_block) {
            Sequence b;
            const Expr y = b.let("y", start(row_block)), count = b.let("rows", min(rows_->extent - row_block * kRows, kRows));
            b.add(loop("column_block", total, [&](const Expr &t) {
                Sequence c;
                const Expr slot = c.let("ring_slot", t % blocks), column = c.let("column", origin + block * t);
                const Expr to = c.let("to", slot * block_floats_);
                const Expr low = c.let("low", clamp(-column, 0, block)), high = c.let("high", max(min(width_ - column, block), low));
                const auto zeros = [&](const Expr &from, const Expr &n) {
                    return loop("zeros", n, [&](const Expr &q) { return vertical_.store(to + (from + q) * (kRows * lanes_), make_zero(Float(32, kRows * lanes_))); });
                };
                c.add(zeros(0, low));
                c.add(column_sums({column + low, (high - low) * lanes_, (column + low - first) * lanes_,
                                   [&](const Expr &i, const Expr &at) { return to + (low * lanes_ + at) * kRows + i * lanes_; }},
                                  down, first_block() + row_block + y_->wholes + 1, y));
                c.add(zeros(high, block - high));
                // Two blocks on end can be read from any.
                c.add(if_else(slot == 0, loop("copy", block, [&](const Expr &q) {
                    return vertical_.store(blocks * block_floats_ + q * (kRows * lanes_), vertical_.load(q * (kRows * lanes_), kRows * lanes_));
                })));
                const Expr entering = c.let("entering", across.slot(t));
                const Stmt middles = Block::make(if_else(t == before, across.begin(entering, 0, kRows * lanes_, lanes_)),
                                                 across.middles(entering, 0, kRows * lanes_, lanes_, [&](const Expr &at, const Expr &sum) { return across_.store(at, sum); }));
                const Stmt outputs = row_sums(across, t, entering, t - before, slot, row_block * kRows, count);
                c.add(if_else(t >= before, Block::make(if_else(!x_->direct(), middles), outputs), if_else(t >= 1 && !x_->direct(), first_sums(across, t, entering, to - select(x_->stride == 1, x_->gap, 0) * (kRows * lanes_)))));
                return c.done();
            }));
            return b.done();
        }));
        return s.done();
    }

    // `count` columns from `from` on of the ring, of rows from i on.
    Stmt add_columns(const Local &sum, const Expr &from, const Expr &count, const Expr &i, int lanes) const {
        return loop("column", count, [&](const Expr &q) { return sum.add(vertical_.load(from + q * (kRows * lanes_) + i * lanes_, lanes)); });
    }

    // The sums of a block of columns, before the first window.
    Stmt first_sums(const Wholes &wholes, const Expr &block, const Expr &entering, const Expr &from) const {
        return loop("row", kRows, [&](const Expr &i) {
            const Local group("group", lanes_), sum("sum", lanes_);
            return group.within(sum.within(Block::make({
                sum.zero(),
                loop("group", kRows, [&](const Expr &g) {
                    return Block::make({group.zero(), add_columns(group, from + g * x_->stride * (kRows * lanes_), x_->stride, i, lanes_), sum.add(group.load(0, lanes_))});
                }),
                wholes.enter(entering, i * lanes_, sum.load(0, lanes_)),
                if_else(x_->stride == 1, Block::make({sum.zero(), add_columns(sum, from + kRows * (kRows * lanes_), x_->gap, i, lanes_),
                                                      wholes.leave_rest(block, i * lanes_, sum.load(0, lanes_))})),
            })));
        });
    }

    // The outputs of a block of columns, of which `block` lies in `slot` and enters the wholes in theirs.
    Stmt row_sums(const Wholes &wholes, const Expr &block, const Expr &entering, const Expr &output_block, const Expr &slot, const Expr &first_row, const Expr &count) const {
        Sequence s;
        const int column = kRows * lanes_;
        const Expr newest = s.let("newest", slot * block_floats_);
        const Expr oldest = s.let("oldest", select(slot + 1 == x_->wholes + 3, 0, newest + block_floats_) + (x_->block() - x_->gap) * column);
        const Expr outputs = s.let("outputs", min(columns_ - output_block * kRows, kRows));
        const Expr uniform = argument(kUniformDivisor);
        const auto put = [&](const Expr &i, const Expr &q, const Expr &value, bool one_divisor) {
            const For *columns = body_.as<For>();
            Stmt one = replace_mark(columns->body, kLargeWindow, [&](const Call *) { return value; });
            one = substitute(columns->name, columns->min + output_block * kRows + q, substitute(rows_->name, rows_->min + first_row + i, one));
            return simplify(substitute(uniform.as<Variable>()->name, one_divisor ? 1 : 0, one));
        };
        const Local sums("sums", kRows * lanes_);
        const auto put_sums = [&](const Expr &i) {
            const auto each = [&](bool one_divisor) { return loop("output", outputs, [&](const Expr &q) { return put(i, q, sums.load(q * lanes_, lanes_), one_divisor); }); };
            return if_else(uniform == 1, each(true), each(false));
        };
        // at_once: of a whole block of outputs with one divisor.
        const auto stacks = [&](int gap, bool at_once) {
            return loop("row", count, [&](const Expr &i) {
                Sequence stack;
                const Expr at = stack.let("row_at", i * lanes_);
                const auto taps = [&](const Expr &from) { return [=](int q) { return vertical_.load(from + q * column + at, lanes_); }; };
                stack.add(two_stacks({across_.load(at, lanes_), gap, x_->gap}, wholes, block, entering, at, taps(oldest), taps(newest),
                                     [&](int q, const Expr &value) { return at_once ? put(i, q, value, true) : sums.store(q * lanes_, value); }));
                if (at_once) return stack.done();
                stack.add(put_sums(i));
                return sums.within(stack.done());
            });
        };
        const auto add = [&](const Expr &first, const Expr &i) {
            return [=](const Local &sum, const Expr &from, const Expr &n) { return add_columns(sum, first + from * column, n, i, sum.size); };
        };
        const Stmt gaps = loop("gap", kRows / kChunk, [&](const Expr &chunk) {
            const int lanes = lanes_ * kChunk;
            const Local sum("sum", lanes);
            const Expr i = chunk * kChunk;
            return sum.within(Block::make({sum.zero(), in_eights(sum, x_->gap, add(oldest + x_->block() * column, i)),
                                           across_.store(i * lanes_, plus(across_.load(i * lanes_, lanes), sum.load(0, lanes)))}));
        });
        const Stmt strided = loop("row", count, [&](const Expr &i) {
            return sums.within(Block::make(
                strided_two_stacks(lanes_, across_.load(i * lanes_, lanes_),
                                   [&](const Local &sum, int q) { return add_columns(sum, oldest + q * x_->stride * column, x_->stride, i, lanes_); },
                                   [&](const Local &sum, int q) { return add_columns(sum, newest + q * x_->stride * column, x_->stride, i, lanes_); },
                                   [&](int q, const Expr &value) { return sums.store(q * lanes_, value); },
                                   [&](const Expr &sum) { return wholes.enter(entering, i * lanes_, sum); }),
                put_sums(i)));
        });
        const Stmt direct = loop("row", count, [&](const Expr &i) {
            return sums.within(Block::make(loop("output", outputs, [&](const Expr &q) {
                const Local sum("sum", lanes_);
                const Stmt add_all = in_eights(sum, x_->kernel, add(oldest + q * x_->stride * column, i));
                return sum.within(Block::make({sum.zero(), add_all, sums.store(q * lanes_, sum.load(0, lanes_))}));
            }), put_sums(i)));
        });
        Stmt unit = stacks(-1, false);
        for (int gap = 0; gap < kRows; ++gap) {
            const Expr at_once = outputs == kRows && uniform == 1;
            const Stmt one = stacks(gap, true);
            unit = is_usual(gap) ? if_else(x_->gap == gap, if_else(at_once, one, stacks(gap, false)), unit) : if_else(x_->gap == gap && at_once, one, unit);
        }
        s.add(if_else(x_->direct(), direct, if_else(x_->stride == 1, unit, Block::make(gaps, strided))));
        return s.done();
    }

    const For *rows_;
    Stmt body_;
    int lanes_;
    bool planar_, strip_ = false;
    const Load *input_;
    std::vector<Expr> arguments_;
    Expr row_, channel_, step_, width_, height_, row_pitch_, columns_, begin_, base_;
    std::unique_ptr<Axis> y_, x_;
    const std::string memory_ = unique_name("workspace");
    Expr end_ = 0;
    Floats vertical_, middle_, across_, whole_, four_;
    Expr pitch_, align_, starts_, whole_vectors_, outputs_at_;
    Expr block_floats_, lead_, floats_;
};

}  // namespace

Expr large_window_sum(const PoolProblem &p, const OutputVariables &v, const WindowCall &call) { return window_mark(kLargeWindow, p, v, call); }

LargeWindow::LargeWindow(int lanes) : ReplaceRows(kLargeWindow), lanes_(lanes) {}

Stmt LargeWindow::replaced(const For *rows, const Stmt &body, const Call *mark) const { return Emitter(rows, body, mark, lanes_).emit(); }

}  // namespace halpool
