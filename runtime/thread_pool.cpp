#include "thread_pool.hpp"

#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace halpool {
namespace {

constexpr std::size_t kMostThreads = 255;

// Lives on the stack of the thread that calls run(); linked into the pool while shares are left to hand out.
struct Job {
    halpool_task task;
    void *context;
    std::int32_t tasks;
    std::int32_t next = 0;      // the next share to hand out
    std::int32_t unfinished;    // shares not yet returned
    Job *later = nullptr;
    std::condition_variable finished;
};

class ThreadPool {
public:
    ~ThreadPool() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            stopping_ = true;
        }
        work_.notify_all();
        for (std::thread &worker : workers_) worker.join();
    }

    void run(std::int32_t tasks, halpool_task task, void *context) {
        Job job{task, context, tasks, 0, tasks, nullptr, {}};
        std::unique_lock<std::mutex> lock(mutex_);
        start_workers(static_cast<std::size_t>(tasks - 1));
        append(&job);
        for (std::int32_t i = 1; i < tasks && static_cast<std::size_t>(i) <= workers_.size(); ++i) work_.notify_one();
        while (job.next < job.tasks) run_share(&job, lock);
        job.finished.wait(lock, [&] { return job.unfinished == 0; });
    }

private:
    void start_workers(std::size_t wanted) {
        while (workers_.size() < wanted && workers_.size() < kMostThreads) {
            try {
                workers_.emplace_back([this] { work(); });
            } catch (const std::exception &) {  // no thread or no memory to be had: the others do the work
                return;
            }
        }
    }

    void work() {
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            work_.wait(lock, [&] { return stopping_ || first_; });
            if (stopping_) return;
            run_share(first_, lock);
        }
    }

    // Runs one share with the lock released. The job outlives it: it counts as unfinished until the lock is held again.
    void run_share(Job *job, std::unique_lock<std::mutex> &lock) {
        const std::int32_t share = job->next++;
        if (job->next == job->tasks) remove(job);
        lock.unlock();
        job->task(job->context, share);
        lock.lock();
        if (--job->unfinished == 0) job->finished.notify_one();
    }

    void append(Job *job) {
        Job **end = &first_;
        while (*end) end = &(*end)->later;
        *end = job;
    }

    void remove(Job *job) {
        Job **link = &first_;
        while (*link != job) link = &(*link)->later;
        *link = job->later;
    }

    std::mutex mutex_;
    std::condition_variable work_;
    Job *first_ = nullptr;
    std::vector<std::thread> workers_;
    bool stopping_ = false;
};

// Replaced in a forked child, which has none of the parent's threads: the old pool is left as it is, since its threads
// cannot be joined and its mutex may be held.
struct Owner {
    ThreadPool *pool = new ThreadPool;
    Owner() {
#if defined(__unix__) || defined(__APPLE__)
        pthread_atfork(nullptr, nullptr, [] { owner().pool = new ThreadPool; });
#endif
    }
    ~Owner() { delete pool; }
    static Owner &owner() {
        static Owner instance;
        return instance;
    }
};

}  // namespace

void run_on_pool(std::int32_t tasks, halpool_task task, void *context) {
    Owner::owner().pool->run(tasks, task, context);
}

}  // namespace halpool
