// A kernel of the CPU bound to one problem: everything of the call that does not depend on the data, prepared once.
#ifndef HALPOOL_RUNTIME_CPU_CALL_HPP
#define HALPOOL_RUNTIME_CPU_CALL_HPP

#include "shares.hpp"

namespace halpool {

class CpuCall {
public:
    CpuCall() = default;
    CpuCall(const CpuCall &) = delete;  // buffers point into the object
    CpuCall &operator=(const CpuCall &) = delete;
    virtual ~CpuCall() = default;

    // How the output may be cut: no other boxes may be run.
    virtual const Shares &shares() const = 0;

    // Whether the kernel can write there; run() needs it.
    virtual bool takes_output(const void *output) const = 0;

    // The whole output, or a box of it. 0, or what the kernel returned. Allocate nothing; any number of threads at once.
    virtual int run(const void *input, void *output) const = 0;
    virtual int run(const void *input, void *output, const Box &box) const = 0;
};

}  // namespace halpool

#endif
