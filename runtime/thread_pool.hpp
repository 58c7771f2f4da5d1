// The library's own threads: started on first use, shared by all plans of the process. Between jobs they look for the next
// one for some microseconds, then sleep.
#ifndef HALPOOL_RUNTIME_THREAD_POOL_HPP
#define HALPOOL_RUNTIME_THREAD_POOL_HPP

#include <halpool/halpool.h>

#include <cstdint>

namespace halpool {

inline constexpr std::int32_t kMostPoolTasks = 256;

// Calls task(context, i) once for each i in [0, tasks), on the calling thread and on up to tasks - 1 others, and returns
// when all have returned. tasks is at most kMostPoolTasks. The caller works too and can finish alone, so nested and concurrent calls cannot deadlock.
// Where threads cannot be started, fewer share the work.
void run_on_pool(std::int32_t tasks, halpool_task task, void *context);

}  // namespace halpool

#endif
