// The library's own threads: started on first use, asleep between jobs, shared by all plans of the process.
#ifndef HALPOOL_RUNTIME_THREAD_POOL_HPP
#define HALPOOL_RUNTIME_THREAD_POOL_HPP

#include <halpool/halpool.h>

#include <cstdint>

namespace halpool {

// Calls task(context, i) once for each i in [0, tasks), on the calling thread and on up to tasks - 1 others, and returns
// when all have returned. The caller works too and can finish alone, so nested and concurrent calls cannot deadlock.
// Where threads cannot be started, fewer share the work.
void run_on_pool(std::int32_t tasks, halpool_task task, void *context);

}  // namespace halpool

#endif
