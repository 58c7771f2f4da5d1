#include "gradient_lines.hpp"

#include "lowered_ir.hpp"
#include "statements.hpp"

#include <halpool/internal/kernel_convention.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

using namespace Halide;
using namespace Halide::Internal;

namespace halpool {
namespace {

constexpr char kGradientLine[] = "halpool_gradient_line";
constexpr int kChunk = 4;       // vectors that are computed side by side
constexpr int kSlackVectors = 8;  // that may be read behind a line, or before it
constexpr int kMostKnown = 3;   // whole strides of a window that have code of their own

enum Argument {
    kPlane, kRow, kFirstRow, kEndRow, kMostRows, kDivisor, kReciprocal, kUniform, kScale, kPositiveZero, kPitch, kKernel, kStride, kPad, kColumns,
    kWindows, kRowPitch, kElementsBehind
};

// Planar windows whose rows need no line; padding: modulo the stride.
struct Known {
    int stride, kernel, padding;
    // Windows over a stride's place: the last one, counted from where the stride begins, and how many.
    int last(int place) const { return (place + padding) / stride; }
    int count(int place) const {
        const int phase = (place + padding) % stride;
        return phase < kernel ? (kernel - phase + stride - 1) / stride : 0;
    }
};
constexpr Known kKnown[] = {{2, 2, 0}, {2, 3, 0}, {2, 3, 1}, {2, 4, 0}, {2, 4, 1}, {2, 5, 0}, {2, 5, 1}, {3, 3, 0}, {3, 5, 0}, {3, 5, 1}, {3, 5, 2}, {4, 4, 0}};
constexpr int kMostKnownRows = 3;  // windows over a row

class FindStore : public IRGraphVisitor {
public:
    const Store *store = nullptr;

private:
    using IRGraphVisitor::visit;
    void visit(const Store *found) override { store = found; }
};

// The code for one loop over rows.
class Emitter {
public:
    Emitter(const For *rows, const Stmt &body, const Call *mark, const ElementType &element, int lanes, bool masked_loads, bool masked_stores, GradientRows kind)
        : rows_(rows), element_(element), lanes_(lanes), masked_loads_(masked_loads), masked_stores_(masked_stores), kind_(kind), args_(mark->args), line_("line", kGradientLineFloats + 2 * kSlackVectors * lanes) {
        const For *columns = body.as<For>();
        FindStore found;
        body.accept(&found);
        _halide_user_assert(columns && found.store) << "a row's columns must be written one by one\n";
        store_ = found.store;
        output_ = substitute(columns->name, columns->min, store_->index);
        line_.begin = kSlackVectors * lanes;
    }

    Stmt emit() {
        Sequence s;
        pitch_ = s.let("pitch", args_[kPitch]);
        stride_ = s.let("stride", args_[kStride]);
        pad_ = s.let("pad", args_[kPad]);
        columns_ = s.let("columns", args_[kColumns]);
        row_pitch_ = s.let("row_pitch", args_[kRowPitch]);
        windows_ = s.let("windows", args_[kWindows]);
        wholes_ = s.let("wholes", args_[kKernel] / stride_);
        rest_ = s.let("rest", args_[kKernel] % stride_);
        before_ = s.let("before", (args_[kKernel] - 1) / stride_);
        scale_ = s.let("scale", select(args_[kUniform] == 1, args_[kScale], 1.0f));
        zero_ = s.let("positive_zero", args_[kPositiveZero]);
        plane_ = s.let("plane", load_of(kPlane)->index);
        switch (kind_) {
        case GradientRows::planar_whole_vectors: s.add(of_one_window()); break;
        case GradientRows::pixel_vectors: s.add(if_else(args_[kUniform] == 1, pixels(true), pixels(false))); break;
        case GradientRows::any: s.add(masked_loads_ ? if_else(pitch_ == 1 && args_[kMostRows] <= kMostKnownRows, of_known_windows(), by_lines()) : by_lines());
        }
        return s.done();
    }

private:
    Stmt in_registers(const Known &known) {
        const auto of = [&](bool uniform) {
            Stmt rows = in_registers(known, uniform);
            if (!masked_stores_ || kind_ == GradientRows::planar_whole_vectors) return rows;
            rows = if_else(columns_ <= lanes_ * known.stride, in_one_vector(known, uniform, lanes_), rows);
            if (lanes_ % known.stride == 0) rows = if_else(columns_ <= lanes_, in_one_vector(known, uniform, lanes_ / known.stride), rows);
            return rows;
        };
        return if_else(args_[kUniform] == 1, of(true), of(false));
    }
    Expr has_padding_of(const Known &known) const { return pad_ % known.stride == known.padding; }
    Stmt of_known_windows() {
        Stmt known = by_lines();
        for (const Known &k : kKnown) known = if_else(stride_ == k.stride && args_[kKernel] == k.kernel && has_padding_of(k), in_registers(k), known);
        return known;
    }
    Stmt of_one_window() {
        const auto stride = as_const_int(args_[kStride]), kernel = as_const_int(args_[kKernel]);
        _halide_user_assert(stride && kernel) << "lines of whole vectors are of windows that the generator knows\n";
        Stmt known;
        for (int padding = 0; padding < static_cast<int>(*stride); ++padding) {
            const Known k{static_cast<int>(*stride), static_cast<int>(*kernel), padding};
            known = known.defined() ? if_else(has_padding_of(k), in_registers(k), known) : in_registers(k);
        }
        return known;
    }

    Stmt by_lines() {
        Sequence s;
        // Pieces of rows of which the line holds all windows, planar of whole vectors; the selector made sure that one window fits.
        const Expr all = s.let("all", (columns_ - 1 + pad_ % stride_) / stride_ + 1);
        const Expr fitting = s.let("fitting", kGradientLineFloats / pitch_ - before_ - 2);
        const Expr whole = s.let("whole", select(pitch_ == 1, fitting / lanes_ * lanes_, fitting));
        const Expr piece_columns = s.let("piece_columns", select(all <= fitting, columns_, whole * stride_));
        const Expr pieces = s.let("pieces", (columns_ + piece_columns - 1) / piece_columns);
        s.add(loop("piece", pieces, [&](const Expr &piece) {
            Sequence p;
            x_begin_ = p.let("x_begin", piece * piece_columns);
            x_end_ = p.let("x_end", min(x_begin_ + piece_columns, columns_));
            from_ = p.let("from", (x_begin_ + pad_) / stride_ - before_);
            to_ = p.let("to", (x_end_ - 1 + pad_) / stride_ + 1);
            const Expr first = p.let("first", clamp(from_, 0, windows_)), end = p.let("end", clamp(to_, first, windows_));
            first_ = p.let("first_float", first * pitch_);
            inside_ = p.let("inside", (end - first) * pitch_);
            lead_ = p.let("lead", (first - from_) * pitch_);
            const auto zeros = [&](const Expr &at, const Expr &vectors) {
                return loop("zeros", vectors, [&](const Expr &vector) { return line_.store(at + vector * lanes_, make_zero(Float(32, lanes_))); });
            };
            p.add(zeros(-lanes_, (lead_ + 2 * lanes_ - 1) / lanes_));
            p.add(zeros(lead_ + inside_, ((to_ - from_) * pitch_ - lead_ - inside_ + lanes_ - 1) / lanes_ + 2));
            p.add(loop("row", rows_->extent, [&](const Expr &i) {
                Sequence r;
                const Expr row = r.let("row", at_row(args_[kRow], i));
                const Expr windows_begin = r.let("first", table(kFirstRow, row)), windows_end = r.let("end", table(kEndRow, row));
                const Expr above = max(row - 1, 0);
                r.add(if_else(i == 0 || table(kFirstRow, above) != windows_begin || table(kEndRow, above) != windows_end,
                              sums_along_y(windows_begin, windows_end - windows_begin)));
                output_row_ = r.let("output", at_row(output_, i));
                behind_ = r.let("behind", select(pieces == 1, at_row(args_[kElementsBehind], i), 0));
                r.add(if_else(pitch_ == 1, planar(), channels_last()));
                return r.done();
            }));
            return p.done();
        }));
        return line_.within(s.done());
    }

    // Of vectors of windows: the first and the last one, counted from where a stride begins, that lie over one of its places.
    struct Reach {
        explicit Reach(const Known &known) {
            for (int place = 0; place < known.stride; ++place) {
                lowest = std::min(lowest, known.last(place) - known.count(place) + 1);
                highest = std::max(highest, known.last(place));
            }
        }
        int lowest = 0, highest = 0;
    };
    Expr windows_there(const Expr &at, int lanes) const {
        return Ramp::make(at, 1, lanes) >= Broadcast::make(0, lanes) && Ramp::make(at, 1, lanes) < Broadcast::make(windows_, lanes);
    }

    // `lanes` strides of a row under so many windows, the first of them at `mine`. is_there: which of those at mine + window are windows,
    // undefined where all of them are; write: of the outputs.
    Stmt known_vector(const Known &known, bool uniform, int lanes, int rows, const Expr &first_window, const Expr &mine, const std::function<Expr(int)> &is_there,
                      const std::function<Stmt(Expr)> &write) const {
        Sequence v;
        const Reach reach(known);
        std::vector<Expr> sums;
        for (int window = reach.lowest; window <= reach.highest; ++window) {
            const Expr at = mine + window, there = is_there(window);
            const auto read = [&](const Load *from, const Expr &index) {
                return Load::make(from->type.with_lanes(lanes), from->name, Ramp::make(index, 1, lanes), from->image, from->param, there.defined() ? there : const_true(lanes), ModulusRemainder());
            };
            const auto tap = [&](int t) {
                const Expr row = first_window + t, gradient = element_.widened(read(load_of(kPlane), plane_ + row * row_pitch_ + at));
                if (uniform) return gradient;
                const Expr height_class = cast<int>(table(kDivisor, row)) - 1;
                return strict_float(gradient * read(load_of(kReciprocal), height_class * windows_ + at));
            };
            const Expr sum = rows == 0 ? make_zero(Float(32, lanes)) : chain(rows, tap);
            sums.push_back(v.let("sum", there.defined() ? select(there, sum, make_zero(Float(32, lanes))) : sum));
        }
        std::vector<Expr> values;
        for (int place = 0; place < known.stride; ++place) {
            const auto of = [&](int i) { return sums[static_cast<std::size_t>(known.last(place) - i - reach.lowest)]; };
            values.push_back(v.let("value", result(known.count(place) == 0 ? make_zero(Float(32, lanes)) : chain(known.count(place), of))));
        }
        v.add(write(Shuffle::make_interleave(values)));
        return v.done();
    }
    Stmt by_count(const Expr &count, const std::function<Stmt(int)> &of) const {
        Stmt any;
        const int most_rows = static_cast<int>(as_const_int(args_[kMostRows]).value_or(kind_ == GradientRows::pixel_vectors ? kMostStreamedWindows : kMostKnownRows));
        for (int rows = 0; rows <= most_rows; ++rows) any = any.defined() ? if_else(count == rows, of(rows), any) : of(rows);
        return any;
    }

    // Rows of windows that are known, which one vector of so many windows holds: masks are the same for all of them.
    Stmt in_one_vector(const Known &known, bool uniform, int lanes) {
        const int outputs = known.stride * lanes;
        const Reach reach(known);
        Sequence s;
        const Expr base = s.let("base", pad_ / known.stride);
        std::vector<Expr> there;
        for (int window = reach.lowest; window <= reach.highest; ++window) there.push_back(s.let("there", windows_there(base + window, lanes)));
        const Expr inside = s.let("inside", Ramp::make(0, 1, outputs) < Broadcast::make(columns_, outputs));
        s.add(loop("row", rows_->extent, [&](const Expr &i) {
            Sequence r;
            const Expr row = r.let("row", at_row(args_[kRow], i));
            const Expr first = r.let("first", table(kFirstRow, row)), count = r.let("count", table(kEndRow, row) - first);
            output_row_ = r.let("output", at_row(output_, i));
            r.add(by_count(count, [&](int rows) {
                return known_vector(known, uniform, lanes, rows, first, base, [&](int window) { return there[static_cast<std::size_t>(window - reach.lowest)]; },
                                    [&](const Expr &values) { return store(0, values, inside); });
            }));
            return r.done();
        }));
        return s.done();
    }

    // Rows of windows that are known, without a line.
    Stmt in_registers(const Known &known, bool uniform) {
        const Reach reach(known);
        const int outputs = known.stride * lanes_;
        Sequence s;
        const Expr base = s.let("base", pad_ / known.stride), vectors = s.let("vectors", (columns_ + outputs - 1) / outputs);
        // Vectors of which all windows are there, and which end inside the row.
        const Expr begin = s.let("begin", clamp((lanes_ - 1 - base - reach.lowest) / lanes_, 0, vectors));
        const Expr end = s.let("end", clamp(min((windows_ - base - reach.highest) / lanes_, columns_ / outputs), begin, vectors));
        // write(the place of a vector's outputs in the row, they)
        using Write = std::function<Stmt(Expr, Expr)>;
        const auto body = [&](int rows, const Expr &first_window, const Expr &vector, bool is_inside, const Write &write) {
            Sequence v;
            const Expr mine = v.let("mine", vector * lanes_ + base);
            v.add(known_vector(known, uniform, lanes_, rows, first_window, mine, [&](int window) { return is_inside ? Expr() : windows_there(mine + window, lanes_); },
                               [&](const Expr &values) { return write(vector * outputs, values); }));
            return v.done();
        };
        const auto below_columns = [&](const Expr &first) { return Ramp::make(first, 1, outputs) < Broadcast::make(columns_, outputs); };
        s.add(loop("row", rows_->extent, [&](const Expr &i) {
            Sequence r;
            const Expr row = r.let("row", at_row(args_[kRow], i));
            const Expr first = r.let("first", table(kFirstRow, row)), count = r.let("count", table(kEndRow, row) - first);
            output_row_ = r.let("output", at_row(output_, i));
            if (kind_ == GradientRows::planar_whole_vectors) {
                r.add(by_count(count, [&](int rows) {
                    const auto ends = [&](const Expr &vector) {
                        return body(rows, first, select(vector < begin, vector, vector + (end - begin)), false, [&](const Expr &at, const Expr &values) { return by_vectors(at, values, true); });
                    };
                    const auto inside = [&](const Expr &vector) {
                        return body(rows, first, begin + vector, true, [&](const Expr &at, const Expr &values) { return by_vectors(at, values, false); });
                    };
                    return Block::make(loop("vector", end - begin, inside), loop("vector", vectors - (end - begin), ends));
                }));
                return r.done();
            }
            const Expr may_run_over = r.let("may_run_over", vectors * outputs <= at_row(args_[kElementsBehind], i));
            const auto put = [&](bool is_masked, const Expr &row_offset) -> Write {
                return [=](const Expr &at, const Expr &values) { return store(row_offset + at, values, is_masked ? below_columns(at) : Expr()); };
            };
            const Stmt alone = by_count(count, [&](int rows) {
                const auto ends = [&](const Write &write) {
                    return loop("vector", vectors - (end - begin), [&](const Expr &vector) { return body(rows, first, select(vector < begin, vector, vector + (end - begin)), false, write); });
                };
                return Block::make(loop("vector", end - begin, [&](const Expr &vector) { return body(rows, first, begin + vector, true, put(false, 0)); }),
                                   if_else(may_run_over, ends(put(false, 0)), ends(put(true, 0))));
            });
            if (known.kernel != known.stride || masked_stores_) {
                r.add(alone);
                return r.done();
            }
            // Side by side, of a vector a row: what covers a row covers the next one mostly, which then is written at once.
            const auto is_same = [&](const Expr &other) {
                const Expr inside = clamp(other, at_row(args_[kRow], 0), at_row(args_[kRow], rows_->extent - 1));
                return table(kFirstRow, inside) == first && table(kEndRow, inside) == first + count;
            };
            const Expr has_above = r.let("has_above", i > 0 && is_same(row - 1)), is_second = r.let("is_second", has_above && !(i > 1 && is_same(row - 2)));
            const Expr is_first = r.let("is_first", !has_above && i + 1 < rows_->extent && is_same(row + 1));
            const Expr both_may = r.let("both_may", vectors * outputs <= at_row(args_[kElementsBehind], i) - columns_);
            const auto twice = [&](bool is_masked) {
                return by_count(count, [&](int rows) {
                    return body(rows, first, 0, false, [&](const Expr &at, const Expr &values) { return Block::make(put(is_masked, 0)(at, values), put(is_masked, columns_)(at, values)); });
                });
            };
            r.add(if_else(vectors > 1, alone, if_else(is_first, if_else(both_may, twice(false), twice(true)), if_else(!is_second, alone))));
            return r.done();
        }));
        return s.done();
    }

    // Channels-last pixels of whole vectors, under at most kMostStreamedWindows windows along an axis. A stride's pixels need the sums along
    // y of the window that begins there and of the one before, which are made for each stride again: memory takes longer than they do.
    Stmt pixels(bool uniform) {
        const auto of = [&](bool overlap) {
            Sequence s;
            // Windows whose own strides have pixels in a row; those of which the one before is there too, and all pixels.
            const Expr from = s.let("from", pad_ / stride_), to = s.let("to", (columns_ - 1 + pad_) / stride_ + 1);
            const Expr begin = s.let("begin", clamp((pad_ + stride_ - 1) / stride_, max(from, 1), to));
            const Expr end = s.let("end", clamp(min(windows_, (columns_ + pad_) / stride_), begin, to));
            const Expr shared = s.let("shared", overlap ? args_[kKernel] - stride_ : args_[kKernel]);  // the stride's pixels under one window more
            s.add(loop("row", rows_->extent, [&](const Expr &i) {
                Sequence r;
                const Expr row = r.let("row", at_row(args_[kRow], i));
                const Expr first = r.let("first", table(kFirstRow, row)), count = r.let("count", table(kEndRow, row) - first);
                output_row_ = r.let("output", at_row(output_, i));
                r.add(by_count(count, [&](int rows) {
                    const auto window_at = [&](const Expr &window, bool is_inside) {
                        Sequence w;
                        const Expr mine = w.let("window", window), pixel = w.let("pixel", mine * stride_ - pad_);
                        const Expr head = w.let("head", is_inside ? 0 : max(-pixel, 0)), tail = w.let("tail", is_inside ? stride_ : min(columns_ - pixel, stride_));
                        w.add(whole_vectors([&](const Expr &channel, int lanes) {
                            return stride_of(mine, channel, lanes, rows, first, uniform, overlap, is_inside, [&](const Expr &under_both, const Expr &others) {
                                const auto write = [&](const Expr &value, const Expr &from_pixel, const Expr &until) {
                                    return loop("pixel", until - from_pixel, [&](const Expr &p) { return store((pixel + from_pixel + p) * pitch_ + channel, value); });
                                };
                                return Block::make(write(under_both, head, min(tail, shared)), write(others, max(head, shared), tail));
                            });
                        }));
                        return w.done();
                    };
                    const auto some = [&](const Expr &low, const Expr &high, bool is_inside) {
                        return loop("window", high - low, [&](const Expr &window) { return window_at(low + window, is_inside); });
                    };
                    if (rows == 0) return some(from, to, false);
                    return Block::make({some(from, begin, false), some(begin, end, true), some(end, to, false)});
                }));
                return r.done();
            }));
            return s.done();
        };
        return if_else(args_[kKernel] > stride_, of(true), of(false));
    }
    // A pixel's channels, in vectors, of which there are so many.
    Stmt whole_vectors(const std::function<Stmt(Expr, int)> &body) const {
        const int chunk = kChunk * lanes_;
        const Expr chunks = pitch_ / chunk * chunk;
        return Block::make(loop("chunk", pitch_ / chunk, [&](const Expr &i) { return body(i * chunk, chunk); }),
                           loop("vector", (pitch_ - chunks) / lanes_, [&](const Expr &i) { return body(chunks + i * lanes_, lanes_); }));
    }
    // write(the gradient of the stride's first pixels, which lie under the window before as well, that of the others). Without overlap: of
    // those under the window, and beside it.
    Stmt stride_of(const Expr &window, const Expr &channel, int lanes, int rows, const Expr &first_row, bool uniform, bool overlap, bool is_inside,
                   const std::function<Stmt(Expr, Expr)> &write) const {
        const Expr zeros = make_zero(Float(32, lanes));
        const auto column = [&](const Expr &at) {
            if (rows == 0) return zeros;
            const Expr inside = is_inside ? at : clamp(at, 0, windows_ - 1), from = inside * pitch_ + channel;
            const Expr sum = chain(rows, [&](int t) {
                const Expr row = first_row + t, gradient = element_.widened(load_at(load_of(kPlane), plane_ + row * row_pitch_ + from, lanes));
                if (uniform) return gradient;
                const Expr height_class = cast<int>(table(kDivisor, row)) - 1;
                return strict_float(gradient * load_at(load_of(kReciprocal), height_class * (windows_ * pitch_) + from, lanes));
            });
            return is_inside ? sum : select(wide(inside == at, lanes), sum, zeros);
        };
        Sequence s;
        const Expr mine = s.let("sum", column(window));
        const Expr both = overlap ? plus(mine, s.let("before", column(window - 1))) : mine;
        const Expr value = s.let("both", result(both)), other = s.let("other", result(overlap ? mine : zeros));
        s.add(write(value, other));
        return s.done();
    }

    const Load *load_of(Argument which) const {
        const Load *load = scalar(args_[which]).as<Load>();
        _halide_user_assert(load) << "arguments from tables must be loads\n";
        return load;
    }
    // Loops begin at zero; what stands in them is of the loop's variable.
    Expr at_row(const Expr &e, const Expr &i) const { return substitute(rows_->name, rows_->min + i, e); }
    static Expr load_at(const Load *like, const Expr &index, int lanes) {
        return Load::make(like->type.with_lanes(lanes), like->name, Floats::index(index, lanes), like->image, like->param, const_true(lanes), ModulusRemainder());
    }
    Expr table(Argument which, const Expr &i) const { return load_at(load_of(which), i, 1); }
    static Expr wide(const Expr &e, int lanes) { return lanes == 1 ? e : Broadcast::make(e, lanes); }
    // What the output holds of a sum: where all windows have one divisor, the sum is divided, else each window's gradient was.
    Expr result(const Expr &sum) const {
        const int lanes = sum.type().lanes();
        return element_.rounded(plus(strict_float(sum * wide(scale_, lanes)), wide(zero_, lanes)));
    }
    Stmt store(const Expr &at, const Expr &value, const Expr &mask = Expr()) const {
        const int lanes = value.type().lanes();
        return Store::make(store_->name, value, Floats::index(output_row_ + at, lanes), store_->param, mask.defined() ? mask : const_true(lanes), ModulusRemainder());
    }

    // Vector by vector; is_end: those that are inside the row.
    Stmt by_vectors(const Expr &at, const Expr &values, bool is_end) const {
        Sequence s;
        const Expr all = s.let("outputs", values);
        for (int i = 0; i < values.type().lanes(); i += lanes_) {
            const Stmt vector = store(at + i, Shuffle::make_slice(all, i, 1, lanes_));
            s.add(is_end ? if_else(at + i < columns_, vector) : vector);
        }
        return s.done();
    }

    // Step 1, of the windows' rows from `first` on.
    Stmt sums_along_y(const Expr &first, const Expr &count) const {
        Sequence s;
        const Expr from = s.let("from", plane_ + first * row_pitch_ + first_);
        const auto tap = [&](bool uniform, const Expr &at, const Expr &t, int lanes) {
            const Expr gradient = element_.widened(load_at(load_of(kPlane), from + at + t * row_pitch_, lanes));
            if (uniform) return gradient;
            const Expr height_class = cast<int>(table(kDivisor, first + t)) - 1;
            return strict_float(gradient * load_at(load_of(kReciprocal), height_class * (windows_ * pitch_) + first_ + at, lanes));
        };
        const auto of = [&](bool uniform) {
            Stmt result = each_vector(inside_, lanes_, kChunk, [&](const Expr &at, int lanes) {
                return sum_in_blocks(lanes, count, [&](const Expr &t) { return tap(uniform, at, t, lanes); }, [&](const Expr &sum) { return line_.store(lead_ + at, sum); });
            });
            for (int known : {3, 2, 1}) {
                const Stmt variant = each_vector(inside_, lanes_, kChunk, [&](const Expr &at, int lanes) {
                    return line_.store(lead_ + at, chain(known, [&](int t) { return tap(uniform, at, t, lanes); }));
                });
                result = if_else(count == known, variant, result);
            }
            return result;
        };
        s.add(if_else(args_[kUniform] == 1, of(true), of(false)));
        return s.done();
    }

    // The sum of the windows over an element that has so many, the last of which is at `last` in the line.
    Expr known_sum(int count, const Expr &last, int lanes) const {
        if (count == 0) return make_zero(Float(32, lanes));
        return chain(count, [&](int i) { return line_.load(last - i * pitch_, lanes); });
    }
    // Code for each number of whole strides that a window has: of(-1) for any.
    Stmt by_wholes(int least, const std::function<Stmt(int)> &of) const {
        Stmt result = of(-1);
        for (int known = kMostKnown; known >= least; --known) result = if_else(wholes_ == known, of(known), result);
        return result;
    }

    // Step 2, channels-last: a window's pixels are those of one stride; the first `rest_` of them lie in one window more.
    Stmt channels_last() const {
        return by_wholes(1, [&](int wholes) {
            const auto of = [&](bool has_rest) {
                return loop("window", to_ - from_ - before_, [&](const Expr &i) {
                    Sequence s;
                    const Expr window = s.let("window", from_ + before_ + i), pixel = s.let("pixel", window * stride_ - pad_);
                    const Expr begin = s.let("begin", max(x_begin_ - pixel, 0)), end = s.let("end", min(x_end_ - pixel, stride_));
                    const Expr last = s.let("last", (before_ + i) * pitch_), to = s.let("to", pixel * pitch_);
                    s.add(each_vector(pitch_, lanes_, kChunk, [&](const Expr &channel, int lanes) {
                        const auto pixels = [&](const Expr &sum) {
                            const auto write = [&](const Expr &value, const Expr &from, const Expr &until) {
                                return loop("pixel", until - from, [&](const Expr &p) { return store(to + (from + p) * pitch_ + channel, value); });
                            };
                            if (!has_rest) return write(result(sum), begin, end);
                            const Expr one_more = plus(sum, line_.load(last + channel - wholes_ * pitch_, lanes));
                            return Block::make(write(result(one_more), begin, min(end, rest_)), write(result(sum), max(begin, rest_), end));
                        };
                        if (wholes >= 0) {
                            const std::string name = unique_name("sum");
                            const Expr sum = Variable::make(Float(32, lanes), name);
                            return Stmt(LetStmt::make(name, known_sum(wholes, last + channel, lanes), pixels(sum)));
                        }
                        return sum_in_blocks(lanes, wholes_, [&](const Expr &t) { return line_.load(last + channel - t * pitch_, lanes); }, pixels);
                    }));
                    return s.done();
                });
            };
            return if_else(rest_ == 0, of(false), of(true));
        });
    }

    // Step 2, planar.
    Stmt planar() const {
        Stmt result = Evaluate::make(0);
        for (int stride = kMostPlanarStride; stride >= 2; --stride) {
            result = if_else(stride_ == stride, by_wholes(0, [&](int wholes) { return shuffled(stride, wholes); }), result);
        }
        return result;
    }
    Stmt shuffled(int stride, int wholes) const {
        const int outputs = stride * lanes_;
        Sequence s;
        // Of each place in a stride, counted from the piece's first column: where the last window over it is in the line, and whether
        // there is one more.
        std::vector<Expr> last, has_more;
        for (int place = 0; place < stride; ++place) {
            const Expr at = s.let("place", x_begin_ + place + pad_);
            last.push_back(s.let("last", at / stride - from_));
            has_more.push_back(s.let("has_more", at % stride < rest_));
        }
        const Expr count = s.let("count", x_end_ - x_begin_), vectors = s.let("vectors", (count + outputs - 1) / outputs);
        const auto vector_at = [&](const Expr &vector, bool masked) {
            std::vector<Expr> values;
            Sequence v;
            for (int place = 0; place < stride; ++place) {
                const Expr at = last[static_cast<std::size_t>(place)] + vector * lanes_;
                const Expr more = select(wide(has_more[static_cast<std::size_t>(place)], lanes_), line_.load(at - wholes_, lanes_), make_zero(Float(32, lanes_)));
                values.push_back(v.let("value", result(wholes > 0 ? plus(known_sum(wholes, at, lanes_), more) : more)));
            }
            const Expr first = vector * outputs;
            const Expr mask = masked ? Ramp::make(first, 1, outputs) < Broadcast::make(count, outputs) : Expr();
            v.add(store(x_begin_ + first, Shuffle::make_interleave(values), mask));
            return v.done();
        };
        if (wholes < 0) {
            s.add(loop("column", count, [&](const Expr &column) {
                Sequence c;
                const Expr at = c.let("place", x_begin_ + column + pad_), place = c.let("last", at / stride - from_);
                c.add(sum_in_blocks(1, wholes_ + select(at % stride < rest_, 1, 0), [&](const Expr &t) { return line_.load(place - t, 1); },
                                     [&](const Expr &sum) { return store(x_begin_ + column, result(sum)); }));
                return c.done();
            }));
            return s.done();
        }
        const Expr whole = s.let("unmasked", select(vectors * outputs <= behind_, vectors, count / outputs));
        s.add(loop("vector", whole, [&](const Expr &vector) { return vector_at(vector, false); }));
        s.add(loop("vector", vectors - whole, [&](const Expr &vector) { return vector_at(whole + vector, true); }));
        return s.done();
    }

    const For *rows_;
    const ElementType &element_;
    int lanes_;
    bool masked_loads_, masked_stores_;
    GradientRows kind_;
    std::vector<Expr> args_;
    const Store *store_ = nullptr;
    Expr output_;
    Expr pitch_, stride_, pad_, columns_, row_pitch_, windows_, wholes_, rest_, before_, scale_, zero_, plane_;
    Expr x_begin_, x_end_, from_, to_, first_, inside_, lead_;  // of a piece; windows from from_ up to to_
    mutable Expr output_row_;
    Expr behind_;
    Local line_;
};

}  // namespace

Expr gradient_line_sum(const GradientCall &call) {
    return Call::make(Float(32), kGradientLine,
                      {call.plane, call.row, call.first_row, call.end_row, call.most_rows, call.divisor, call.reciprocal, call.uniform, call.scale, call.positive_zero, call.pitch,
                       call.kernel, call.stride, call.pad, call.columns, call.windows, call.row_pitch, call.elements_behind},
                      Call::PureExtern);
}

Stmt GradientLines::visit(const For *rows) {
    if (rows->name.find(".s0.y") == std::string::npos) return IRMutator::visit(rows);
    const Stmt body = inline_lets(rows->body);
    const Call *mark = find_mark(body, kGradientLine);
    return mark ? Emitter(rows, body, mark, element_, lanes_, masked_loads_, masked_stores_, kind_).emit() : IRMutator::visit(rows);
}

}  // namespace halpool
