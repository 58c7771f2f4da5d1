// Statements of Halide's IR by hand, for lowering passes that write loops themselves.
#ifndef HALPOOL_GENERATORS_STATEMENTS_HPP
#define HALPOOL_GENERATORS_STATEMENTS_HPP

#include <Halide.h>

#include <cstddef>
#include <functional>
#include <string>
#include <tuple>
#include <vector>

namespace halpool {

// A call that means nothing to Halide, until a pass replaces it: the first of this name, or null.
const Halide::Internal::Call *find_mark(const Halide::Internal::Stmt &statement, const std::string &name);
Halide::Internal::Stmt replace_mark(const Halide::Internal::Stmt &statement, const std::string &name,
                                    std::function<Halide::Expr(const Halide::Internal::Call *)> value);

// A mark for a value that is the same for a whole call, which a pass that writes loops computes before them.
Halide::Expr call_constant(const Halide::Expr &value);

// Statements one after another, with the names that later ones use.
class Sequence {
public:
    Halide::Expr let(const char *name, const Halide::Expr &value);
    void add(const Halide::Internal::Stmt &statement) { statements_.push_back(statement); }
    Halide::Internal::Stmt done() const;

private:
    std::vector<std::tuple<std::string, Halide::Expr, std::size_t>> lets_;
    std::vector<Halide::Internal::Stmt> statements_;
};

// The statement with names in place of its call_constants, which `before` computes.
Halide::Internal::Stmt hoist_constants(const Halide::Internal::Stmt &statement, Sequence &before);

// Floats in memory, from `begin` on.
struct Floats {
    std::string name;
    Halide::Expr begin = 0;

    static Halide::Expr index(const Halide::Expr &at, int lanes);
    Halide::Expr load(const Halide::Expr &at, int lanes) const;
    Halide::Internal::Stmt store(const Halide::Expr &at, const Halide::Expr &value) const;
};

// Of one statement: registers, or the stack where they are indexed.
struct Local : Floats {
    int size;
    Local(const char *name, int size);
    Halide::Internal::Stmt within(const Halide::Internal::Stmt &body) const;
    Halide::Internal::Stmt zero() const;
    Halide::Internal::Stmt add(const Halide::Expr &value) const;
};

// In this order and no other: bits do not depend on what LLVM shares.
Halide::Expr plus(const Halide::Expr &a, const Halide::Expr &b);
Halide::Expr chain(int count, const std::function<Halide::Expr(int)> &tap);
Halide::Expr round_up(const Halide::Expr &value, const Halide::Expr &to);
Halide::Internal::Stmt if_else(const Halide::Expr &condition, const Halide::Internal::Stmt &then,
                               const Halide::Internal::Stmt &otherwise = Halide::Internal::Stmt());
Halide::Internal::Stmt loop(const char *name, const Halide::Expr &count, const std::function<Halide::Internal::Stmt(Halide::Expr)> &body);
// put(the sum of `count` taps, in blocks of kSeparableBlock).
Halide::Internal::Stmt sum_in_blocks(int lanes, const Halide::Expr &count, const std::function<Halide::Expr(Halide::Expr)> &tap, const std::function<Halide::Internal::Stmt(Halide::Expr)> &put);
// Visits `count` floats in vectors, `together` of them at once as long as there are so many, the last one moved back to where it fits,
// or narrower ones: body(place, lanes).
Halide::Internal::Stmt each_vector(const Halide::Expr &count, int lanes, int together, const std::function<Halide::Internal::Stmt(Halide::Expr, int)> &body);
constexpr int kNarrow = 4;  // lanes where a vector does not fit, and again 1

}  // namespace halpool

#endif
