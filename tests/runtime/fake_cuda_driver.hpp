// What fake_cuda_driver.cpp, a libcuda.so.1 without a GPU, tells a test besides CUDA's own functions.
//
// The environment variable HALPOOL_FAKE_CUDA says how it behaves. It holds settings with spaces between them and
// is read at each call:
//   devices=2          how many devices there are (1)
//   capability=52      their compute capability (90)
//   version=10010      the CUDA version of the driver (13000)
//   threads=64         the threads of a block that every function's registers allow (1024)
//   capturing=1        a stream is being captured: unless the thread's capture mode is relaxed, no code can be
//   loaded
//                      and no context retained (CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, 900)
//   milliseconds=20    how long cuInit takes (0)
//   cuLaunchKernel=719 what every call of that function returns, in place of doing anything
#ifndef HALPOOL_TESTS_FAKE_CUDA_DRIVER_HPP
#define HALPOOL_TESTS_FAKE_CUDA_DRIVER_HPP

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace halpool_test {

struct FakeLaunch {
    std::string function;
    unsigned int blocks[3], threads[3], shared_bytes;
    void *stream, *context;  // the context that was current
    std::vector<std::uint64_t> parameters;
};

enum class FakeMemory {
    device,
    managed,
    mapped,   // host memory that the device sees at the host's address
    remapped  // host memory that the device sees at another address
};

// All pointers are CUDA's handles.
struct FakeCuda {
    virtual std::map<std::string, int> calls() = 0;  // of each function, since forget_calls()
    virtual void forget_calls() = 0;
    virtual std::vector<FakeLaunch> launches() = 0;
    virtual void *primary_context(int device) = 0;
    virtual void *create_context(int device) = 0;
    virtual void *create_stream(void *context) = 0;
    virtual void make_current(void *context) = 0;  // of the calling thread; null: none
    virtual void *current_context() = 0;
    virtual void *allocate(FakeMemory kind, void *context, std::size_t bytes) = 0;

protected:
    ~FakeCuda() = default;
};

// The library's symbol for a function `FakeCuda *()`.
inline constexpr const char *kFakeCudaSymbol = "halpool_fake_cuda";

}  // namespace halpool_test

#endif
