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

// The sums of the latest whole blocks, each a row of `pitch` floats: the last 4 one by one, and of each 4 on end. Blocks are
// numbered in the order in which they enter. Of a block's rest, see two_stacks.
struct Wholes {
    Expr count, slots, pitch;
    Floats ones, fours, rests;

    static Expr size(const Axis &axis, const Expr &pitch) { return (large_wholes(axis.kernel, axis.stride) + 6) * pitch; }
    Wholes(Sequence &s, const Axis &axis, const Expr &row_floats, const std::string &memory, const Expr &begin)
        : count(s.let("count", max(axis.wholes, 0))), slots(s.let("slots", max(count, 1))), pitch(row_floats), ones{memory, begin},
          fours{memory, s.let("fours", begin + 6 * row_floats)}, rests{memory, s.let("rests", begin + 4 * row_floats)} {}

    Expr one(const Expr &block, const Expr &at, int lanes) const { return ones.load((block & 3) * pitch + at, lanes); }
    // Floats may be visited twice: what the next block will find lies apart from what this one does.
    Expr rest(const Expr &block, const Expr &at, int lanes) const { return rests.load((block & 1) * pitch + at, lanes); }
    Stmt leave_rest(const Expr &block, const Expr &at, const Expr &value) const { return rests.store(((block + 1) & 1) * pitch + at, value); }
    // Adds the blocks before `block`, of which all or none are behind `at`. four_slot: block % slots.
    Stmt add_to(const Local &sum, const Expr &block, const Expr &four_slot, const Expr &at, int lanes) const {
        return Block::make(loop("fours", count / 4, [&](const Expr &four) {
                               const Expr slot = four_slot + four * 4;
                               return sum.add(fours.load(select(slot >= slots, slot - slots, slot) * pitch + at, lanes));
                           }),
                           loop("ones", count % 4, [&](const Expr &i) { return sum.add(one(block - count % 4 + i, at, lanes)); }));
    }
    // entered_slot: (block - 3) % slots
    Stmt enter(const Expr &block, const Expr &entered_slot, const Expr &at, const Expr &value) const {
        const int lanes = value.type().lanes();
        const Expr four = plus(plus(one(block - 3, at, lanes), one(block - 2, at, lanes)), plus(one(block - 1, at, lanes), value));
        return Block::make(ones.store((block & 3) * pitch + at, value), if_else(count >= 4, fours.store(entered_slot * pitch + at, four)));
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
    Expr start(const Expr &block) const {
        return substitute(rows_->name, simplify(rows_->min + block * kRows), row_) * y_->stride - argument(kPadRows);
    }
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

    // Columns of the input, whose sums go to `at(i, column)` of output row i; `ring`: place in a row of wholes.
    struct Columns {
        Expr first, floats, ring;
        std::function<Expr(int, Expr)> at;
    };

    // Visits the floats of a row of the columns: body(their place in the row, in an input row, lanes).
    Stmt floats(const Columns &columns, int chunk, const std::function<Stmt(Expr, Expr, int)> &body) const {
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
    Stmt add_rows(const Local &sum, const Expr &y, const Expr &count, const Expr &in, int lanes, bool checked = true) const {
        return loop("row", count, [&](const Expr &t) { return sum.add(row(y + t, in, lanes, checked)); });
    }

    // What is below the oldest block of the first windows.
    Stmt first_wholes(const Columns &columns, const Wholes &wholes) const {
        const Stmt rest = floats(columns, 1, [&](const Expr &at, const Expr &in, int lanes) {
            const Local sum("sum", lanes);
            return sum.within(Block::make({sum.zero(), add_rows(sum, start(0) + (y_->wholes + 1) * kRows, y_->gap, in, lanes),
                                           wholes.leave_rest(y_->wholes, columns.ring + at, sum.load(0, lanes))}));
        });
        const Stmt all = loop("first_whole", y_->wholes, [&](const Expr &t) {
            Sequence s;
            const Expr block = t + 1, y = s.let("y", start(0) + block * y_->block() + y_->offset());
            const Expr slot = s.let("slot", (block - 3) % wholes.slots);
            s.add(floats(columns, 1, [&](const Expr &at, const Expr &in, int lanes) {
                const Local group("group", lanes), sum("sum", lanes);
                return group.within(sum.within(Block::make({
                    sum.zero(),
                    loop("group", kRows, [&](const Expr &i) {
                        return Block::make({group.zero(), add_rows(group, y + i * y_->stride, y_->stride, in, lanes), sum.add(group.load(0, lanes))});
                    }),
                    wholes.enter(block, slot, columns.ring + at, sum.load(0, lanes)),
                })));
            }));
            return s.done();
        });
        return Block::make(all, if_else(y_->stride == 1 && !y_->direct(), rest));
    }

    // The sums of kRows output rows from the one on whose windows begin in row y. block: the one that enters the wholes.
    Stmt column_sums(const Columns &columns, const Wholes &wholes, const Expr &block, const Expr &y) const {
        Sequence s;
        const Expr slot = s.let("slot", block % wholes.slots), entered = s.let("entered", (block - 3) % wholes.slots);
        const auto middles = [&](bool gap) {
            return floats(columns, kChunk, [&](const Expr &at, const Expr &in, int lanes) {
                const Local sum("sum", lanes), group("group", lanes);
                const Stmt gaps = loop("gap", (y_->gap + 7) / 8, [&](const Expr &g) {
                    return Block::make({group.zero(), add_rows(group, y + y_->block() + g * 8, min(y_->gap - g * 8, 8), in, lanes), sum.add(group.load(0, lanes))});
                });
                const Stmt add = wholes.add_to(sum, block, slot, columns.ring + at, lanes), keep = middle_.store(at, sum.load(0, lanes));
                return sum.within(gap ? group.within(Block::make({sum.zero(), gaps, add, keep})) : Block::make({sum.zero(), add, keep}));
            });
        };
        const auto stacks = [&](int gap) {
            return floats(columns, 1, [&](const Expr &at, const Expr &in, int lanes) {
                const bool checked = gap < 0;
                Sequence stack;
                stack.add(two_stacks({middle_.load(at, lanes), gap, y_->gap}, wholes, block, entered, columns.ring + at,
                                     [&](int i) { return row(y + i, in, lanes, checked); }, [&](int i) { return row(y + y_->kernel - 1 + i, in, lanes, checked); },
                                     [&](const Local &sum, const Expr &from, const Expr &count) { return add_rows(sum, y + y_->kernel - 1 + from, count, in, lanes); },
                                     [&](int i, const Expr &value) { return vertical_.store(columns.at(i, at), value); }));
                return stack.done();
            });
        };
        const Stmt strided = Block::make(middles(true), floats(columns, 1, [&](const Expr &at, const Expr &in, int lanes) {
            const auto add = [&](const Local &sum, const Expr &first) { return add_rows(sum, y + first, y_->stride, in, lanes); };
            return strided_two_stacks(lanes, middle_.load(at, lanes), [&](const Local &sum, int i) { return add(sum, i * y_->stride); },
                                      [&](const Local &sum, int i) { return add(sum, y_->kernel + (i - 1) * y_->stride); },
                                      [&](int i, const Expr &value) { return vertical_.store(columns.at(i, at), value); },
                                      [&](const Expr &newest) { return wholes.enter(block, entered, columns.ring + at, newest); });
        }));
        const Stmt direct = floats(columns, 1, [&](const Expr &at, const Expr &in, int lanes) {
            std::vector<Stmt> all;
            const Local sum("sum", lanes);
            for (int i = 0; i < kRows; ++i) {
                all.insert(all.end(), {sum.zero(), add_rows(sum, y + i * y_->stride, y_->kernel, in, lanes), vertical_.store(columns.at(i, at), sum.load(0, lanes))});
            }
            return sum.within(Block::make(all));
        });
        const Expr inside = y >= 0 && y + y_->kernel + kRows - 1 <= height_;
        const Stmt unit = Block::make(middles(false), if_else(inside, by_gap(*y_, stacks), stacks(-1)));
        s.add(if_else(y_->direct(), direct, if_else(y_->stride == 1, unit, strided)));
        return s.done();
    }

    // What is usual, for each gap.
    static Stmt by_gap(const Axis &axis, const std::function<Stmt(int)> &variant) {
        Stmt result = variant(0);
        for (int gap = 1; gap < kRows; ++gap) result = if_else(axis.gap == gap, variant(gap), result);
        return result;
    }

    // Of windows that move by one: oldest(i) and newest(i) are the values before and behind what all of them cover, but for
    // the gap, whose sum is wholes.rest(): it and the newest values up to there are the block that enters, and what is behind
    // is the next gap. put(i, sum) for the windows in their order. gap: known, or -1: add_newest(sum, from, count) adds those.
    struct Middle {
        Expr sum;
        int known_gap;
        Expr gap;
    };
    static Stmt two_stacks(const Middle &middle, const Wholes &wholes, const Expr &block, const Expr &entered, const Expr &at, const std::function<Expr(int)> &oldest,
                           const std::function<Expr(int)> &newest, const std::function<Stmt(const Local &, const Expr &, const Expr &)> &add_newest,
                           const std::function<Stmt(int, const Expr &)> &put) {
        Sequence s;
        const int lanes = middle.sum.type().lanes(), gap = middle.known_gap;
        std::vector<Expr> suffix(kRows);
        Expr sum = middle.sum;
        for (int i = kRows; i-- > 0;) sum = suffix[static_cast<std::size_t>(i)] = s.let("suffix", plus(sum, oldest(i)));
        Expr prefix, rest;
        // No gap: nothing was left for this block.
        const Expr left = gap < 0 ? Select::make(lanes == 1 ? middle.gap > 0 : Broadcast::make(middle.gap > 0, lanes), wholes.rest(block, at, lanes), make_zero(middle.sum.type())) : wholes.rest(block, at, lanes);
        if (gap != 0) prefix = s.let("gap", left);
        for (int i = 0; i < kRows; ++i) {
            const Expr tap = s.let("tap", newest(i));
            prefix = prefix.defined() ? s.let("prefix", plus(prefix, tap)) : tap;
            s.add(put(i, plus(suffix[static_cast<std::size_t>(i)], prefix)));
            if (gap < 0) continue;
            if (i == kRows - 1 - gap) s.add(wholes.enter(block, entered, at, prefix));
            if (i > kRows - 1 - gap) rest = rest.defined() ? s.let("rest", plus(rest, tap)) : tap;
        }
        if (rest.defined()) s.add(wholes.leave_rest(block, at, rest));
        if (gap < 0) {
            const Local whole("whole", lanes), next("next", lanes);
            s.add(whole.within(Block::make({whole.store(0, left), add_newest(whole, 0, kRows - middle.gap),
                                            wholes.enter(block, entered, at, whole.load(0, lanes))})));
            s.add(next.within(Block::make({next.zero(), add_newest(next, kRows - middle.gap, middle.gap), wholes.leave_rest(block, at, next.load(0, lanes))})));
        }
        return s.done();
    }

    // Of windows that move by more. add_oldest(sum, i) and add_newest(sum, i) add all values of such a step.
    using AddGroup = std::function<Stmt(const Local &, int)>;
    static Stmt strided_two_stacks(int lanes, const Expr &middle, const AddGroup &add_oldest, const AddGroup &add_newest,
                                   const std::function<Stmt(int, const Expr &)> &put, const std::function<Stmt(const Expr &)> &enter) {
        const Local suffix("suffix", lanes * (kRows + 1)), prefix("prefix", lanes), group("group", lanes);
        std::vector<Stmt> all = {suffix.store(kRows * lanes, middle), prefix.zero()};
        for (int i = kRows; i-- > 0;) {
            all.insert(all.end(), {group.zero(), add_oldest(group, i), suffix.store(i * lanes, plus(suffix.load((i + 1) * lanes, lanes), group.load(0, lanes)))});
        }
        for (int i = 0; i < kRows; ++i) {
            all.insert(all.end(), {group.zero(), add_newest(group, i), prefix.add(group.load(0, lanes)),
                                   put(i, plus(suffix.load(i * lanes, lanes), prefix.load(0, lanes)))});
        }
        all.push_back(enter(prefix.load(0, lanes)));
        return suffix.within(prefix.within(group.within(Block::make(all))));
    }

    // ---- Rows of floats: planes, and pixels of fewer channels than a vector has lanes

    Stmt lines() {
        Sequence s;
        const Expr end = begin_ + (columns_ - 1) * x_->stride + x_->kernel;
        const Expr first = s.let("first", clamp(begin_, 0, width_)), inside = s.let("inside", clamp(end, first, width_) - first);
        pitch_ = s.let("pitch", large_line_pitch(columns_, x_->kernel, x_->stride, step_));
        vertical_ = place(s, kRows * pitch_);
        middle_ = place(s, pitch_);
        across_ = place(s, pitch_);
        whole_ = place(s, pitch_);
        if (!planar_) four_ = place(s, 2 * pitch_);
        const Wholes wholes = place_wholes(s, *y_, pitch_);
        // Sums are stored where loads of whole vectors will find them.
        const Expr lead = (first - begin_) * step_;
        align_ = s.let("align", -lead & (lanes_ - 1));
        const Expr lead_at = s.let("lead", lead + align_);
        const Columns all{first, s.let("floats", inside * step_), 0, [&](int i, const Expr &at) { return lead_at + at + i * pitch_; }};
        starts_ = s.let("starts", ((columns_ - 1) * x_->stride + 1) * step_);
        whole_vectors_ = s.let("whole_vectors", x_->kernel / lanes_);
        s.add(loop("fill", kRows * pitch_ / lanes_, [&](const Expr &at) { return vertical_.store(at * lanes_, make_zero(Float(32, lanes_))); }));
        s.add(first_wholes(all, wholes));
        s.add(loop("block", (rows_->extent + kRows - 1) / kRows, [&](const Expr &block) {
            Sequence b;
            const Expr y = b.let("y", start(block));
            b.add(column_sums(all, wholes, block + y_->wholes + 1, y));
            b.add(loop("row", min(rows_->extent - block * kRows, kRows), [&](const Expr &i) {
                const Stmt sums = planar_ ? chain(i) : levels(i);
                return Block::make(sums, outputs(block * kRows + i));
            }));
            return b.done();
        }));
        return s.done();
    }

    // The sums of the windows of row i that begin at each float, into across_: of as many floats as a vector has, by
    // doubling, which `count` of add up to a window but for `rest` floats, and those are among the doubled ones.
    Stmt chain(const Expr &i) {
        constexpr int kFew = 4;  // counts below are kept in registers
        int levels = 0;
        while (1 << levels < lanes_) ++levels;
        const Expr count = whole_vectors_, first = count + levels - 1, vectors = (starts_ + lanes_ - 1) / lanes_ + first;
        outputs_at_ = first * lanes_;
        Stmt result;
        for (int rest = 0; rest < lanes_; ++rest) {
            Stmt variants = in_groups(i, levels, rest, count, vectors);
            for (int few = 0; few < kFew; ++few) {
                std::vector<Local> earlier;
                for (int n = 0; n < few; ++n) earlier.emplace_back("whole", lanes_);
                const auto each_vector = [&](const std::function<Stmt(Expr)> &body) { return loop("vector", vectors, body); };
                Stmt sums = doubled(i, levels, rest, each_vector, [&](const Expr &at, const Expr &whole, const Expr &part) {
                    Sequence s;
                    Expr sum = part, newer = whole;
                    std::vector<Stmt> carried;
                    for (const Local &each : earlier) {
                        const Expr old = s.let("whole", each.load(0, lanes_));
                        sum = plus(sum, old);
                        carried.push_back(each.store(0, newer));
                        newer = old;
                    }
                    s.add(across_.store(at, sum));
                    for (const Stmt &each : carried) s.add(each);
                    return s.done();
                });
                for (const Local &each : earlier) sums = each.within(Block::make(each.zero(), sums));
                variants = if_else(count == few, sums, variants);
            }
            result = result.defined() ? if_else(x_->kernel % lanes_ == rest, variants, result) : variants;
        }
        return result;
    }

    // Vectors in groups of `count`: the `count` before a vector are those of its group before it, whose sum grows, and the last ones of the
    // group before, whose sums from each to its end are ready. Three additions, however many there are. What the first group finds goes into
    // sums that mean nothing.
    Stmt in_groups(const Expr &i, int levels, int rest, const Expr &count, const Expr &vectors) const {
        const Local before("before", lanes_), suffix("suffix", lanes_);
        Expr place;  // in its group
        const auto each_group = [&](const std::function<Stmt(Expr)> &body) {
            return loop("group", (vectors + count - 1) / count, [&](const Expr &group) {
                Sequence g;
                const Expr begin = g.let("group_begin", group * count), size = g.let("group_size", min(count, vectors - begin));
                g.add(before.zero());
                g.add(loop("vector", size, [&](const Expr &vector) {
                    place = vector * lanes_;
                    return body(begin + vector);
                }));
                g.add(suffix.zero());
                g.add(loop("suffix", size, [&](const Expr &behind) {
                    const Expr at = (size - 1 - behind) * lanes_;
                    return Block::make(suffix.add(whole_.load(at, lanes_)), whole_.store(at, suffix.load(0, lanes_)));
                }));
                return g.done();
            });
        };
        const Stmt sums = doubled(i, levels, rest, each_group, [&](const Expr &at, const Expr &whole, const Expr &part) {
            return Block::make({across_.store(at, plus(part, plus(before.load(0, lanes_), whole_.load(place, lanes_)))), before.add(whole), whole_.store(place, whole)});
        });
        return before.within(suffix.within(sums));
    }

    // put(place, sum of lanes_ floats, sum of `rest` floats) for each vector, of which the first levels - 1 mean nothing. over: the loops over vectors.
    Stmt doubled(const Expr &i, int levels, int rest, const std::function<Stmt(const std::function<Stmt(Expr)> &)> &over,
                 const std::function<Stmt(Expr, Expr, Expr)> &put) const {
        std::vector<Local> sums, parts;
        for (int l = 0; l < levels; ++l) {
            sums.emplace_back("sums", lanes_);
            parts.emplace_back("parts", lanes_);
        }
        Stmt result = over([&](const Expr &vector) {
            Sequence v;
            const Expr at = vector * lanes_;
            // The first doubling by loads, of which there are few: shuffles are what limits this loop.
            const auto tap = [&](int t) { return vertical_.load(i * pitch_ + align_ + at + t, lanes_); };
            Expr newest = v.let("doubled", plus(tap(0), tap(1))), part;
            std::vector<Stmt> carried;
            const auto carry = [&](const Local &by, const Expr &value) {
                const Expr earlier = v.let("earlier", by.load(0, lanes_));
                carried.push_back(by.store(0, value));
                return earlier;
            };
            if (rest & 1) part = carry(parts[0], tap(rest - 1));
            for (int l = 1; l < levels; ++l) {
                const int taps = 1 << l;
                const Expr older = carry(sums[static_cast<std::size_t>(l)], newest);
                if (rest & taps) {
                    const Expr piece = v.let("piece", shifted(older, newest, rest & ~(2 * taps - 1)));
                    part = part.defined() ? v.let("part", plus(part, piece)) : piece;
                }
                newest = v.let("doubled", plus(older, shifted(older, newest, taps)));
                if (part.defined() && l + 1 < levels) part = carry(parts[static_cast<std::size_t>(l)], part);
            }
            v.add(put(at, newest, part.defined() ? part : make_zero(Float(32, lanes_))));
            for (const Stmt &each : carried) v.add(each);
            return v.done();
        });
        for (const std::vector<Local> *locals : {&sums, &parts}) {
            for (const Local &each : *locals) result = each.within(Block::make(each.zero(), result));
        }
        return result;
    }

    // The same where taps lie step_ floats apart: columns are added by 4 and by 8, and windows from those.
    Stmt levels(const Expr &i) {
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
                    loop("fours", eights / 4, [&](const Expr &f) {
                        return sum.add(plus(plus(eight(f * 4), eight(f * 4 + 1)), plus(eight(f * 4 + 2), eight(f * 4 + 3))));
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
                                   [&](int i, const Expr &at) { return to + (low * lanes_ + at) * kRows + i * lanes_; }},
                                  down, row_block + y_->wholes + 1, y));
                c.add(zeros(high, block - high));
                // Two blocks on end can be read from any.
                c.add(if_else(slot == 0, loop("copy", block, [&](const Expr &q) {
                    return vertical_.store(blocks * block_floats_ + q * (kRows * lanes_), vertical_.load(q * (kRows * lanes_), kRows * lanes_));
                })));
                const Expr uniform = argument(kUniformDivisor);
                const auto outputs = [&](bool one_divisor) { return row_sums(across, t, t - before, slot, row_block * kRows, count, one_divisor); };
                c.add(if_else(t >= before, if_else(uniform == 1, outputs(true), outputs(false)), if_else(t >= 1 && !x_->direct(), first_sums(across, t, to - select(x_->stride == 1, x_->gap, 0) * (kRows * lanes_)))));
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
    Stmt first_sums(const Wholes &wholes, const Expr &block, const Expr &from) const {
        Sequence s;
        const Expr entered = s.let("entered", (block - 3) % wholes.slots);
        s.add(loop("row", kRows, [&](const Expr &i) {
            const Local group("group", lanes_), sum("sum", lanes_);
            return group.within(sum.within(Block::make({
                sum.zero(),
                loop("group", kRows, [&](const Expr &g) {
                    return Block::make({group.zero(), add_columns(group, from + g * x_->stride * (kRows * lanes_), x_->stride, i, lanes_), sum.add(group.load(0, lanes_))});
                }),
                wholes.enter(block, entered, i * lanes_, sum.load(0, lanes_)),
                if_else(x_->stride == 1, Block::make({sum.zero(), add_columns(sum, from + kRows * (kRows * lanes_), x_->gap, i, lanes_),
                                                      wholes.leave_rest(block, i * lanes_, sum.load(0, lanes_))})),
            })));
        }));
        return s.done();
    }

    // The outputs of a block of columns, of which `block` enters the wholes and lies in `slot`.
    Stmt row_sums(const Wholes &wholes, const Expr &block, const Expr &output_block, const Expr &slot, const Expr &first_row, const Expr &count, bool one_divisor) const {
        Sequence s;
        const Expr entered = s.let("entered", (block - 3) % wholes.slots), four_slot = s.let("four_slot", block % wholes.slots);
        const int column = kRows * lanes_;
        const Expr newest = s.let("newest", slot * block_floats_);
        const Expr oldest = s.let("oldest", select(slot + 1 == x_->wholes + 3, 0, newest + block_floats_) + (x_->block() - x_->gap) * column);
        const Expr outputs = s.let("outputs", min(columns_ - output_block * kRows, kRows));
        const auto put = [&](const Expr &i, const Expr &q, const Expr &value) {
            const For *columns = body_.as<For>();
            Stmt one = replace_mark(columns->body, kLargeWindow, [&](const Call *) { return value; });
            one = substitute(columns->name, columns->min + output_block * kRows + q, substitute(rows_->name, rows_->min + first_row + i, one));
            return simplify(substitute(argument(kUniformDivisor).as<Variable>()->name, one_divisor ? 1 : 0, one));
        };
        const Stmt middles = loop("middle", kRows / kChunk, [&](const Expr &chunk) {
            const int lanes = lanes_ * kChunk;
            const Local sum("sum", lanes);
            const Expr i = chunk * kChunk;
            return sum.within(Block::make({sum.zero(), add_columns(sum, oldest + x_->block() * column, x_->offset(), i, lanes),
                                           wholes.add_to(sum, block, four_slot, i * lanes_, lanes), across_.store(i * lanes_, sum.load(0, lanes))}));
        });
        const auto stacks = [&](int gap) {
            return loop("row", count, [&](const Expr &i) {
                Sequence stack;
                const Expr at = stack.let("row_at", i * lanes_);
                const auto tap = [&](const Expr &from, int q) { return vertical_.load(from + q * column + at, lanes_); };
                stack.add(two_stacks({across_.load(at, lanes_), gap, x_->gap}, wholes, block, entered, at, [&](int q) { return tap(oldest, q); },
                                     [&](int q) { return tap(newest, q); },
                                     [&](const Local &sum, const Expr &from, const Expr &n) { return add_columns(sum, newest + from * column, n, i, lanes_); },
                                     [&](int q, const Expr &value) {
                                         const Stmt one = put(i, q, value);
                                         return gap < 0 ? if_else(q < outputs, one) : one;
                                     }));
                return stack.done();
            });
        };
        const Stmt strided = loop("row", count, [&](const Expr &i) {
            const Local sums("sums", kRows * lanes_);
            return sums.within(Block::make(
                strided_two_stacks(lanes_, across_.load(i * lanes_, lanes_),
                                   [&](const Local &sum, int q) { return add_columns(sum, oldest + q * x_->stride * column, x_->stride, i, lanes_); },
                                   [&](const Local &sum, int q) { return add_columns(sum, newest + q * x_->stride * column, x_->stride, i, lanes_); },
                                   [&](int q, const Expr &value) { return sums.store(q * lanes_, value); },
                                   [&](const Expr &sum) { return wholes.enter(block, entered, i * lanes_, sum); }),
                loop("output", outputs, [&](const Expr &q) { return put(i, q, sums.load(q * lanes_, lanes_)); })));
        });
        const Stmt direct = loop("row", count, [&](const Expr &i) {
            return loop("output", outputs, [&](const Expr &q) {
                const Local sum("sum", lanes_);
                return sum.within(Block::make({sum.zero(), add_columns(sum, oldest + q * x_->stride * column, x_->kernel, i, lanes_), put(i, q, sum.load(0, lanes_))}));
            });
        });
        const Stmt unit = one_divisor ? if_else(outputs == kRows, by_gap(*x_, stacks), stacks(-1)) : stacks(-1);
        s.add(if_else(x_->direct(), direct, Block::make(middles, if_else(x_->stride == 1, unit, strided))));
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
    Expr block_floats_;
};

}  // namespace

Expr large_window_sum(const PoolProblem &p, const OutputVariables &v, const WindowCall &call) { return window_mark(kLargeWindow, p, v, call); }

LargeWindow::LargeWindow(int lanes) : ReplaceRows(kLargeWindow), lanes_(lanes) {}

Stmt LargeWindow::replaced(const For *rows, const Stmt &body, const Call *mark) const { return Emitter(rows, body, mark, lanes_).emit(); }

}  // namespace halpool
