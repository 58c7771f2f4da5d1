#include "large_window.hpp"

#include "lowered_ir.hpp"

#include <halpool/internal/kernel_convention.h>

#include <functional>
#include <map>
#include <utility>
#include <vector>

using namespace Halide;
using namespace Halide::Internal;

namespace halpool {
namespace {

constexpr char kLargeWindow[] = "halpool_large_window";
// The mark's arguments.
enum Argument {
    kColumn, kRow, kChannel, kPlane, kInputW, kInputH, kRowPitch, kColumnPitch, kChannels, kKernelRows, kKernelColumns, kStrideRows,
    kStrideColumns, kPadRows, kPadColumns, kFirstColumn, kColumns, kUniformDivisor, kPlanar, kArguments
};

class FindMark : public IRGraphVisitor {
public:
    const Call *mark = nullptr;

private:
    using IRGraphVisitor::visit;
    void visit(const Call *call) override {
        if (call->name == kLargeWindow) mark = call;
        IRGraphVisitor::visit(call);
    }
};

class ReplaceMark : public IRMutator {
public:
    explicit ReplaceMark(std::function<Expr(const Call *)> value) : value_(std::move(value)) {}

private:
    using IRMutator::visit;
    Expr visit(const Call *call) override { return call->name == kLargeWindow ? value_(call) : IRMutator::visit(call); }
    std::function<Expr(const Call *)> value_;
};

// Statements one after another, with the names that later ones use.
class Sequence {
public:
    Expr let(const char *name, const Expr &value) {
        const std::string unique = unique_name(name);
        lets_.emplace_back(unique, value, statements_.size());
        return Variable::make(value.type(), unique);
    }
    void add(const Stmt &statement) { statements_.push_back(statement); }
    Stmt done() const {
        Stmt result;
        auto let = lets_.rbegin();
        const auto close = [&](std::size_t from) {
            for (; let != lets_.rend() && std::get<2>(*let) >= from; ++let) {
                if (result.defined()) result = LetStmt::make(std::get<0>(*let), std::get<1>(*let), result);
            }
        };
        close(statements_.size());
        for (std::size_t i = statements_.size(); i-- > 0;) {
            result = result.defined() ? Block::make(statements_[i], result) : statements_[i];
            close(i);
        }
        return result;
    }

private:
    std::vector<std::tuple<std::string, Expr, std::size_t>> lets_;
    std::vector<Stmt> statements_;
};

// Floats on the stack.
struct Floats {
    std::string name;
    int size;
    Floats(const char *n, int s) : name(unique_name(n)), size(s) {}

    static Expr index(const Expr &at, int lanes) { return lanes == 1 ? at : Ramp::make(at, 1, lanes); }
    Expr load(const Expr &at, int lanes) const {
        return Load::make(Float(32, lanes), name, index(at, lanes), Buffer<>(), Parameter(), const_true(lanes), ModulusRemainder());
    }
    Stmt store(const Expr &at, const Expr &value) const {
        const int lanes = value.type().lanes();
        return Store::make(name, value, index(at, lanes), Parameter(), const_true(lanes), ModulusRemainder());
    }
    // Halide itself puts at most 16 KiB there. `all` must then enclose every use.
    Stmt around_all(const Stmt &all) const {
        return LetStmt::make(name, Call::make(Handle(), Call::alloca, {size * 4}, Call::Intrinsic), all);
    }
    Stmt within(const Stmt &body) const {
        return Allocate::make(name, Float(32), MemoryType::Stack, {size}, const_true(), Block::make(body, Free::make(name)));
    }
};

Expr plus(const Expr &a, const Expr &b) { return strict_float(a + b); }

Stmt loop(const char *name, const Expr &count, const std::function<Stmt(Expr)> &body) {
    const std::string unique = unique_name(name);
    return For::make(unique, 0, max(count, 0), ForType::Serial, Partition::Never, DeviceAPI::None, body(Variable::make(Int(32), unique)));
}

constexpr int kChunk = 4;  // vectors whose sums are added side by side
constexpr int kSlack = 320;

}  // namespace

// What a call keeps on the stack.
struct LargeWindow::Scratch {
    int capacity, blocks;
    // Rows whose columns are added together. Planar sums are loaded from where two vectors were stored, which waits
    // until both have reached the cache.
    int level_rows;
    int pitch = capacity + kSlack;
    Floats vertical{"vertical", pitch * kLargeBlock}, ring{"ring", capacity * blocks}, middle{"middle", capacity},
        four{"four", pitch * level_rows}, eight{"eight", pitch * level_rows}, across{"across", pitch};

    explicit Scratch(bool planar)
        : capacity(planar ? kLargePlanarFloats : kLargeStripFloats), blocks(planar ? kLargePlanarBlocks : kLargeStripBlocks),
          level_rows(planar ? 4 : 1) {}
    Stmt around_all(Stmt all) const {
        for (const Floats *f : {&vertical, &ring, &middle, &four, &eight, &across}) all = f->around_all(all);
        return all;
    }
};

namespace {

// The code for one loop over rows.
class Emitter {
public:
    Emitter(const For *rows, Stmt body, const Call *mark, int lanes, const LargeWindow::Scratch &scratch)
        : rows_(rows), body_(std::move(body)), lanes_(lanes), planar_(is_const_one(simplify(scalar(mark->args[kPlanar])))),
          input_(scalar(mark->args[kPlane]).as<Load>()), scratch_(scratch), pitch_(scratch.pitch), vertical_(scratch.vertical),
          ring_(scratch.ring), middle_(scratch.middle), four_(scratch.four), eight_(scratch.eight), across_(scratch.across) {
        _halide_user_assert(input_) << "the plane must be a load of the input\n";
        row_ = scalar(mark->args[kRow]);
        for (int i = kInputW; i < kArguments; ++i) arguments_.push_back(scalar(mark->args[i]));
        const Ramp *channels = mark->args[kChannel].as<Ramp>();
        strip_ = !planar_ && channels;
        channel_ = strip_ ? channels->base : Expr(0);
        step_ = planar_ ? Expr(1) : strip_ ? Expr(channels->lanes) : argument(kChannels);
        if (strip_) _halide_user_assert(channels->lanes == lanes || channels->lanes < lanes) << "a strip is at most a vector\n";
        if (strip_) lanes_ = channels->lanes;
    }

    Stmt emit() {
        Sequence s;
        width_ = s.let("width", argument(kInputW));
        height_ = s.let("height", argument(kInputH));
        row_pitch_ = s.let("row_pitch", argument(kRowPitch));
        kernel_h_ = s.let("window_h", argument(kKernelRows));
        kernel_w_ = s.let("window_w", argument(kKernelColumns));
        stride_h_ = s.let("step_h", argument(kStrideRows));
        pad_ = argument(kPadRows);
        base_ = s.let("plane", scalar(input_->index));
        const Expr stride_w = argument(kStrideColumns), columns = argument(kColumns);
        const Expr begin = s.let("begin", argument(kFirstColumn) * stride_w - argument(kPadColumns));
        const Expr end = begin + (columns - 1) * stride_w + kernel_w_;
        first_ = s.let("first", clamp(begin, 0, width_));
        const Expr inside = s.let("inside", clamp(end, first_, width_) - first_);
        floats_ = s.let("floats", inside * step_);
        lead_ = s.let("lead", (first_ - begin) * step_);
        align_ = s.let("align", -lead_ & (lanes_ - 1));
        outputs_ = s.let("outputs", round_up(((columns - 1) * stride_w + 1) * step_, kChunk * lanes_));
        eights_ = s.let("eights", kernel_w_ / 8);
        eight_count_ = s.let("eight_count", select(eights_ > 0, round_up(outputs_ + 8 * (eights_ - 1) * step_, kChunk * lanes_), 0));
        four_count_ = s.let("four_count", round_up(max(eight_count_ + 4 * step_, outputs_ + 8 * eights_ * step_), kChunk * lanes_));
        wholes_ = s.let("wholes", (kernel_h_ - stride_h_) / (kLargeBlock * stride_h_) - 1);
        gap_ = s.let("gap", kernel_h_ - (wholes_ + 1) * kLargeBlock * stride_h_ - stride_h_);

        const Expr filled = round_up(four_count_ + align_ + 8 * step_, lanes_) / lanes_;
        for (int i = 0; i < kLargeBlock; ++i) {
            s.add(loop("fill", filled, [&](const Expr &at) { return vertical_.store(at * lanes_ + i * pitch_, make_zero(Float(32, lanes_))); }));
        }
        s.add(loop("first_whole", wholes_, [&](const Expr &t) {
            const Expr row = start(0) + (t + 1) * (kLargeBlock * stride_h_) + gap_;
            return floats(1, [&](const Expr &at, const Expr &in, int lanes) { return first_whole(row, ring_at(t + 1) + at, in, lanes); });
        }));
        s.add(loop("block", (rows_->extent + kLargeBlock - 1) / kLargeBlock, [&](const Expr &block) { return whole_block(block); }));
        return s.done();
    }

private:
    Expr argument(int which) const { return arguments_[static_cast<std::size_t>(which - kInputW)]; }
    static Expr round_up(const Expr &value, const Expr &to) { return (value + to - 1) / to * to; }
    // The input row where the windows of a block's first output row begin; blocks are counted in this loop.
    Expr start(const Expr &block) const {
        return substitute(rows_->name, simplify(rows_->min + block * kLargeBlock), row_) * stride_h_ - pad_;
    }
    Expr ring_at(const Expr &block) const { return (block & (scratch_.blocks - 1)) * scratch_.capacity; }

    // Visits the floats of a row that lie in the input: body(their place in the scratch rows, in an input row, lanes).
    Stmt floats(int chunk, const std::function<Stmt(Expr, Expr, int)> &body) const {
        const Expr pixel = argument(kColumnPitch);
        if (strip_) {
            const Expr columns = floats_ / lanes_;
            const auto pixels = [&](int count) {
                return loop("column", (columns + count - 1) / count, [&](const Expr &group) {
                    Sequence s;
                    const Expr at = s.let("at", min(group * count, columns - count));
                    s.add(body(at * lanes_, (first_ + at) * pixel + channel_, lanes_ * count));
                    return s.done();
                });
            };
            return chunk > 1 ? IfThenElse::make(columns >= chunk, pixels(chunk), pixels(1)) : pixels(1);
        }
        const Expr in = first_ * (planar_ ? Expr(1) : step_);
        const auto vectors = [&](int lanes) {
            return loop("float", (floats_ + lanes - 1) / lanes, [&](const Expr &vector) {
                Sequence s;
                const Expr at = s.let("at", min(vector * lanes, floats_ - lanes));
                s.add(body(at, in + at, lanes));
                return s.done();
            });
        };
        Stmt result = IfThenElse::make(floats_ >= lanes_, vectors(lanes_), vectors(1));
        return chunk > 1 ? IfThenElse::make(floats_ >= lanes_ * chunk, vectors(lanes_ * chunk), result) : result;
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

    // sum += the rows from y on, `count` of them.
    Stmt add_rows(const Floats &sum, const Expr &y, const Expr &count, const Expr &in, int lanes, bool checked = true) const {
        return loop("row", count, [&](const Expr &t) { return sum.store(0, plus(sum.load(0, lanes), row(y + t, in, lanes, checked))); });
    }
    static Stmt zero(const Floats &sum, int lanes) { return sum.store(0, make_zero(Float(32, lanes))); }

    Stmt first_whole(const Expr &y, const Expr &to, const Expr &in, int lanes) const {
        const Floats group("group", lanes), sum("sum", lanes);
        const Stmt body = Block::make({zero(sum, lanes), loop("step", kLargeBlock, [&](const Expr &i) {
            return Block::make({zero(group, lanes), add_rows(group, y + i * stride_h_, stride_h_, in, lanes),
                                sum.store(0, plus(sum.load(0, lanes), group.load(0, lanes)))});
        }), ring_.store(to, sum.load(0, lanes))});
        return group.within(sum.within(body));
    }

    // What all windows of a block cover: the rows between it and the whole blocks, and those.
    Stmt middle(const Expr &block, const Expr &y, const Expr &at, const Expr &in, int lanes, bool checked) const {
        const Floats sum("sum", lanes), group("group", lanes);
        const auto add = [&](const Floats &to, const Expr &value) { return to.store(0, plus(to.load(0, lanes), value)); };
        const auto whole = [&](const Expr &t) { return ring_.load(ring_at(block + 1 + t) + at, lanes); };
        std::vector<Stmt> all = {zero(sum, lanes)};
        all.push_back(loop("gap", (gap_ + 7) / 8, [&](const Expr &g) {
            return Block::make({zero(group, lanes), add_rows(group, y + g * 8, min(gap_ - g * 8, 8), in, lanes, checked), add(sum, group.load(0, lanes))});
        }));
        all.push_back(loop("fours", wholes_ / 4, [&](const Expr &f) {
            const Expr t = f * 4;
            return add(sum, plus(plus(whole(t), whole(t + 1)), plus(whole(t + 2), whole(t + 3))));
        }));
        all.push_back(loop("ones", wholes_ % 4, [&](const Expr &t) { return add(sum, whole(wholes_ / 4 * 4 + t)); }));
        all.push_back(middle_.store(at, sum.load(0, lanes)));
        return sum.within(group.within(Block::make(all)));
    }

    // Stride 1: all in registers.
    Stmt two_stacks(const Expr &block, const Expr &y, const Expr &at, const Expr &in, int lanes, bool checked) const {
        Sequence s;
        std::vector<Expr> suffix(kLargeBlock);
        Expr sum = middle_.load(at, lanes);
        for (int i = kLargeBlock; i-- > 0;) sum = suffix[static_cast<std::size_t>(i)] = s.let("suffix", plus(sum, row(y + i, in, lanes, checked)));
        Expr prefix;
        for (int i = 0; i < kLargeBlock; ++i) {
            const Expr next = row(y + kernel_h_ - 1 + i, in, lanes, checked);
            prefix = s.let("prefix", prefix.defined() ? plus(prefix, next) : next);
            s.add(vertical_.store(lead_ + align_ + at + i * pitch_, plus(suffix[static_cast<std::size_t>(i)], prefix)));
        }
        s.add(ring_.store(ring_at(block + wholes_ + 1) + at, prefix));
        return s.done();
    }

    Stmt strided_two_stacks(const Expr &block, const Expr &y, const Expr &at, const Expr &in, int lanes) const {
        const Floats suffix("suffix", lanes * (kLargeBlock + 1)), prefix("prefix", lanes), group("group", lanes);
        const auto add_group = [&](const Expr &first) { return Block::make(zero(group, lanes), add_rows(group, first, stride_h_, in, lanes)); };
        std::vector<Stmt> all = {suffix.store(kLargeBlock * lanes, middle_.load(at, lanes)), zero(prefix, lanes)};
        for (int i = kLargeBlock; i-- > 0;) {
            all.push_back(add_group(y + i * stride_h_));
            all.push_back(suffix.store(i * lanes, plus(suffix.load((i + 1) * lanes, lanes), group.load(0, lanes))));
        }
        for (int i = 0; i < kLargeBlock; ++i) {
            all.push_back(add_group(y + kernel_h_ - stride_h_ + i * stride_h_));
            all.push_back(prefix.store(0, plus(prefix.load(0, lanes), group.load(0, lanes))));
            all.push_back(vertical_.store(lead_ + align_ + at + i * pitch_, plus(suffix.load(i * lanes, lanes), prefix.load(0, lanes))));
        }
        all.push_back(ring_.store(ring_at(block + wholes_ + 1) + at, prefix.load(0, lanes)));
        return suffix.within(prefix.within(group.within(Block::make(all))));
    }

    Stmt whole_block(const Expr &block) const {
        Sequence s;
        const Expr y = s.let("y", start(block));
        const auto middles = [&](bool checked) {
            return floats(kChunk, [&](const Expr &at, const Expr &in, int lanes) {
                return middle(block, y + kLargeBlock * stride_h_, at, in, lanes, checked);
            });
        };
        const auto stacks = [&](bool checked) {
            return Block::make(middles(checked), floats(1, [&](const Expr &at, const Expr &in, int lanes) { return two_stacks(block, y, at, in, lanes, checked); }));
        };
        s.add(IfThenElse::make(
            stride_h_ == 1,
            IfThenElse::make(y >= 0 && y + kernel_h_ + kLargeBlock - 1 <= height_, stacks(false), stacks(true)),
            Block::make(middles(true), floats(1, [&](const Expr &at, const Expr &in, int lanes) { return strided_two_stacks(block, y, at, in, lanes); }))));
        const Expr count = s.let("count", min(rows_->extent - block * kLargeBlock, kLargeBlock));
        s.add(loop("level_rows", (count + scratch_.level_rows - 1) / scratch_.level_rows, [&](const Expr &group) {
            return levels(block * kLargeBlock + group * scratch_.level_rows, group * scratch_.level_rows, min(count - group * scratch_.level_rows, scratch_.level_rows));
        }));
        return s.done();
    }

    // Along x: rows `first` and so on of this block.
    Stmt levels(const Expr &output_row, const Expr &first, const Expr &count) const {
        std::vector<Stmt> all;
        all.push_back(loop("row", count, [&](const Expr &i) {
            const int lanes = lanes_ * kChunk;
            return loop("fours", four_count_ / lanes, [&](const Expr &vector) {
                const Expr from = (first + i) * pitch_ + align_ + vector * lanes;
                const auto at = [&](int tap) { return vertical_.load(from + tap * step_, lanes); };
                return four_.store(i * pitch_ + vector * lanes, plus(plus(at(0), at(1)), plus(at(2), at(3))));
            });
        }));
        all.push_back(loop("row", count, [&](const Expr &i) {
            const int lanes = lanes_ * kChunk;
            return loop("eights", eight_count_ / lanes, [&](const Expr &vector) {
                const Expr at = i * pitch_ + vector * lanes;
                return eight_.store(at, plus(four_.load(at, lanes), four_.load(at + 4 * step_, lanes)));
            });
        }));
        all.push_back(loop("row", count, [&](const Expr &i) {
            return Block::make(sums(first + i, i), outputs(output_row + i));
        }));
        return Block::make(all);
    }

    // The windows' sums of one row, for all window starts.
    Stmt sums(const Expr &row, const Expr &level_row) const {
        Stmt result;
        for (int rest = 0; rest < 8; ++rest) {
            const int lanes = lanes_ * kChunk;
            const Stmt variant = loop("sums", outputs_ / lanes, [&](const Expr &chunk) {
                const Floats sum("sum", lanes);
                const Expr at = chunk * lanes, behind = at + eights_ * 8 * step_;
                const auto tap = [&](int i) { return vertical_.load(row * pitch_ + align_ + behind + i * step_, lanes); };
                const auto eight = [&](const Expr &i) { return eight_.load(level_row * pitch_ + at + i * 8 * step_, lanes); };
                Expr tail;
                const auto add = [&](const Expr &value) { tail = tail.defined() ? plus(tail, value) : value; };
                if (rest & 4) add(four_.load(level_row * pitch_ + behind, lanes));
                if (rest & 2) add(plus(tap(rest & 4), tap((rest & 4) + 1)));
                if (rest & 1) add(tap(rest - 1));
                if (!tail.defined()) tail = make_zero(Float(32, lanes));
                return sum.within(Block::make({
                    sum.store(0, tail),
                    loop("fours", eights_ / 4, [&](const Expr &f) {
                        return sum.store(0, plus(sum.load(0, lanes), plus(plus(eight(f * 4), eight(f * 4 + 1)), plus(eight(f * 4 + 2), eight(f * 4 + 3)))));
                    }),
                    loop("ones", eights_ % 4, [&](const Expr &t) { return sum.store(0, plus(sum.load(0, lanes), eight(eights_ / 4 * 4 + t))); }),
                    across_.store(at, sum.load(0, lanes)),
                }));
            });
            result = result.defined() ? IfThenElse::make(kernel_w_ % 8 == rest, variant, result) : variant;
        }
        return result;
    }

    // The loops over one row's outputs, for what is usual and for the rest.
    Stmt outputs(const Expr &row) const {
        const Expr stride_w = argument(kStrideColumns), uniform = argument(kUniformDivisor);
        const auto variant = [&](bool dense, bool one_divisor) {
            std::map<std::string, Expr> known;
            if (dense) known[stride_w.as<Variable>()->name] = 1;
            known[uniform.as<Variable>()->name] = one_divisor ? 1 : 0;
            const Stmt loops = substitute(rows_->name, rows_->min + row, ReplaceMark([&](const Call *mark) { return window(mark); }).mutate(body_));
            return simplify(substitute(known, loops));
        };
        const auto by_divisor = [&](bool dense) { return IfThenElse::make(uniform == 1, variant(dense, true), variant(dense, false)); };
        return IfThenElse::make(stride_w == 1, by_divisor(true), by_divisor(false));
    }

    // What the mark stands for in a row whose sums are in `across_`.
    Expr window(const Call *mark) const {
        const Expr stride_w = argument(kStrideColumns), column = mark->args[kColumn];
        if (planar_) {
            Expr at = simplify(column * (column.type().is_vector() ? Broadcast::make(stride_w, column.type().lanes()) : stride_w));
            return Load::make(mark->type, across_.name, at, Buffer<>(), Parameter(), const_true(mark->type.lanes()), ModulusRemainder());
        }
        const Expr at = scalar(column) * stride_w * step_;
        return strip_ ? across_.load(at, lanes_) : across_.load(at + mark->args[kChannel], 1);
    }

    const For *rows_;
    Stmt body_;
    int lanes_;
    bool planar_, strip_ = false;
    const Load *input_;
    const LargeWindow::Scratch &scratch_;
    int pitch_;
    const Floats &vertical_, &ring_, &middle_, &four_, &eight_, &across_;
    std::vector<Expr> arguments_;
    Expr row_, channel_, step_, width_, height_, row_pitch_, kernel_h_, kernel_w_, stride_h_, pad_, base_, first_, floats_, lead_, align_, outputs_, eights_,
        eight_count_, four_count_, wholes_, gap_;
};

}  // namespace

Expr large_window_sum(const PoolProblem &p, const OutputVariables &v, const LargeCall &call) {
    const bool planar = p.layout == Layout::nchw;
    std::vector<Expr> args(kArguments);
    args[kColumn] = v.x - call.first_column;
    args[kRow] = v.y;
    args[kChannel] = planar ? Expr(0) : Expr(v.c);
    args[kPlane] = planar ? p.input(0, 0, v.c, v.n) : p.input(0, 0, 0, v.n);
    args[kInputW] = p.x.input;
    args[kInputH] = p.y.input;
    args[kRowPitch] = call.row_pitch;
    args[kColumnPitch] = planar ? Expr(1) : call.column_pitch;
    args[kChannels] = planar ? Expr(1) : call.channels;
    args[kKernelRows] = p.y.kernel;
    args[kKernelColumns] = p.x.kernel;
    args[kStrideRows] = p.y.stride;
    args[kStrideColumns] = p.x.stride;
    args[kPadRows] = p.y.pad_begin;
    args[kPadColumns] = p.x.pad_begin;
    args[kFirstColumn] = call.first_column;
    args[kColumns] = call.columns;
    args[kUniformDivisor] = call.uniform;
    args[kPlanar] = planar;
    for (Expr &arg : args) {
        if (arg.type().is_bool()) arg = cast<int>(arg);
    }
    return Call::make(Float(32), kLargeWindow, args, Call::PureExtern);
}

LargeWindow::LargeWindow(int lanes, bool planar) : lanes_(lanes), scratch_(std::make_shared<Scratch>(planar)) {}

Stmt LargeWindow::mutate(const Stmt &stmt) {
    if (inside_) return IRMutator::mutate(stmt);
    inside_ = true;
    return scratch_->around_all(IRMutator::mutate(stmt));
}

Stmt LargeWindow::visit(const For *rows) {
    if (rows->name.find(".s0.y") == std::string::npos) return IRMutator::visit(rows);
    const Stmt body = inline_lets(rows->body);
    FindMark found;
    body.accept(&found);
    if (!found.mark) return IRMutator::visit(rows);
    return Emitter(rows, body, found.mark, lanes_, *scratch_).emit();
}

}  // namespace halpool
