#include "window_mark.hpp"

#include "lowered_ir.hpp"
#include "statements.hpp"

using namespace Halide;
using namespace Halide::Internal;

namespace halpool {

Expr window_mark(const char *name, const PoolProblem &p, const OutputVariables &v, const WindowCall &call) {
    const bool planar = p.layout == Layout::nchw;
    std::vector<Expr> args(kWindowArguments);
    args[kColumn] = v.x - call.first_column;
    args[kRow] = v.y;
    args[kChannel] = planar ? Expr(0) : Expr(v.c);
    args[kPlane] = planar ? p.input(0, 0, v.c, v.n) : p.input(0, 0, 0, v.n);
    args[kInputW] = p.x.input;
    args[kInputH] = p.y.input;
    args[kRowPitch] = call.row_pitch;
    args[kColumnPitch] = call.column_pitch;
    args[kChannels] = call.channels;
    args[kKernelRows] = p.y.kernel;
    args[kKernelColumns] = p.x.kernel;
    args[kStrideRows] = p.y.stride;
    args[kStrideColumns] = p.x.stride;
    args[kPadRows] = p.y.pad_begin;
    args[kPadColumns] = p.x.pad_begin;
    args[kFirstColumn] = call.first_column;
    args[kColumns] = call.columns;
    args[kUniformDivisor] = call.uniform;
    args[kPlanar] = planar ? 1 : 0;
    return Call::make(Float(32), name, args, Call::PureExtern);
}

std::vector<Expr> call_arguments(const Call *mark) {
    std::vector<Expr> arguments;
    for (int i = kInputW; i < kWindowArguments; ++i) arguments.push_back(scalar(mark->args[static_cast<std::size_t>(i)]));
    return arguments;
}

Stmt ReplaceRows::visit(const For *rows) {
    if (rows->name.find(".s0.y") == std::string::npos) return IRMutator::visit(rows);
    const Stmt body = inline_lets(rows->body);
    const Call *mark = find_mark(body, mark_);
    return mark ? replaced(rows, body, mark) : IRMutator::visit(rows);
}

}  // namespace halpool
