#include "thread_pool.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

// Helgrind sees what locks order, not what atomics do: builds for tests tell it.
#if defined(HALPOOL_TELL_HELGRIND)
#include <valgrind/helgrind.h>
#else
#define ANNOTATE_HAPPENS_BEFORE(object) static_cast<void>(object)
#define ANNOTATE_HAPPENS_AFTER(object) static_cast<void>(object)
#endif

namespace halpool {
namespace {

using Clock = std::chrono::steady_clock;

// How long a thread looks for what it waits for before it sleeps: the layers of one network follow each other in less,
// and more would be felt by the rest of the machine. A thread that looks is there in 0.2 us; one that sleeps costs its
// waker a system call and comes tens of microseconds late.
constexpr auto kSpin = std::chrono::microseconds(50);

void relax() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb");  // `yield` does nothing on most cores
#endif
}

// Looks for done() for a bounded time; returns whether it came true. Who spins alone keeps its hardware thread, since a
// thread that yields may be queued behind the very one that it waits for; else others run between two looks.
template <class Done>
bool spin(bool alone, const Done &done) {
    const Clock::time_point begin = Clock::now();
    do {
        for (int look = 0; look < 16; ++look) {
            if (done()) return true;
            relax();
        }
        if (!alone) std::this_thread::yield();
    } while (Clock::now() - begin < kSpin);
    return false;
}

class ThreadPool {
public:
    ~ThreadPool() {
        stopping_ = true;
        ++epoch_;
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            work_.notify_all();
        }
        for (std::thread &worker : workers_) worker.join();
    }

    void run(std::int32_t tasks, halpool_task task, void *context) {
        const std::size_t slot = take_slot();
        if (slot == kMostJobs) {
            for (std::int32_t i = 0; i < tasks; ++i) task(context, i);
            return;
        }
        ++callers_;
        start_workers(tasks - 1);
        Job &job = jobs_[slot];
        job.task = task;
        job.context = context;
        job.tasks = tasks;
        for (std::int32_t i = 0; i < tasks; ++i) job.handed_out[i].store(0, std::memory_order_relaxed);
        ANNOTATE_HAPPENS_BEFORE(&job);
        open_ |= bit(slot);
        ++epoch_;
        wake(tasks - 1);
        run_shares(job, 0);
        open_ &= ~bit(slot);
        wait_for_workers(job);
        ANNOTATE_HAPPENS_AFTER(&job.workers);
        --callers_;
        taken_ &= ~bit(slot);
    }

private:
    static constexpr std::size_t kMostJobs = 32;  // at one time; the callers of more work alone

    // Jobs are never freed, so that a worker may look at one that has just ended: it counts itself in, and only then looks
    // whether the job is open. When it is closed and nobody is left in it, its caller goes.
    struct alignas(64) Job {
        std::atomic<std::int32_t> workers{0};
        std::atomic<bool> caller_sleeps{false};
        // Constant while the job is open, or workers are in it.
        halpool_task task;
        void *context;
        std::int32_t tasks;
        // 0 or 1; a word each, since exchanging a byte takes RISC-V a library (libatomic).
        std::atomic<std::uint32_t> handed_out[kMostPoolTasks];
    };

    static std::uint32_t bit(std::size_t slot) { return std::uint32_t{1} << slot; }

    // kMostJobs: none is free.
    std::size_t take_slot() {
        std::uint32_t taken = taken_;
        for (std::size_t slot = 0; slot < kMostJobs;) {
            if (taken & bit(slot)) {
                ++slot;
            } else if (taken_.compare_exchange_weak(taken, taken | bit(slot))) {
                return slot;
            }
        }
        return kMostJobs;
    }

    void start_workers(std::int32_t wanted) {
        if (started_ >= wanted || cannot_start_) return;
        const std::lock_guard<std::mutex> lock(mutex_);
        while (started_ < wanted) {
            try {
                workers_.emplace_back([this, index = started_.load()] { work(index); });
            } catch (const std::exception &) {  // no thread or no memory to be had: the others do the work, from now on
                cannot_start_ = true;
                return;
            }
            ++started_;
        }
    }

    void work(std::int32_t index) {
        while (!stopping_) {
            const std::uint32_t seen = epoch_;
            for (std::size_t slot = 0; slot < kMostJobs; ++slot) {
                if (open_ & bit(slot)) enter(slot, index);
            }
            wait_for_work(seen);
        }
    }

    void enter(std::size_t slot, std::int32_t index) {
        Job &job = jobs_[slot];
        ++job.workers;
        if (open_ & bit(slot)) {
            ANNOTATE_HAPPENS_AFTER(&job);
            run_shares(job, index + 1);
            ANNOTATE_HAPPENS_BEFORE(&job.workers);
        }
        if (--job.workers == 0 && job.caller_sleeps) {
            const std::lock_guard<std::mutex> lock(mutex_);
            finished_.notify_all();
        }
    }

    // Each thread begins with a share of its own, the same in every job: that share's data may still be in its cache.
    static void run_shares(Job &job, std::int32_t first) {
        for (std::int32_t i = 0; i < job.tasks; ++i) {
            const std::int32_t share = (first + i) % job.tasks;
            std::atomic<std::uint32_t> &handed_out = job.handed_out[share];
            if (handed_out.load(std::memory_order_relaxed) != 0 || handed_out.exchange(1, std::memory_order_relaxed) != 0) continue;
            job.task(job.context, share);
        }
    }

    // Whether all threads at work here, or looking for it, have a hardware thread for themselves.
    bool undersubscribed() const { return callers_ + started_ - sleeping_ <= hardware_threads_; }

    void wait_for_work(std::uint32_t seen) {
        const auto come = [&] { return epoch_ != seen; };
        if (undersubscribed()) {
            ++spinning_;
            const bool found = spin(true, come);
            --spinning_;
            if (found) return;
        }
        std::unique_lock<std::mutex> lock(mutex_);
        ++sleeping_;  // before the last look: see wake()
        work_.wait(lock, come);
        --sleeping_;
    }

    // Called after the epoch has moved: who does not count as sleeping yet will see that.
    void wake(std::int32_t wanted) {
        wanted -= spinning_;
        if (wanted <= 0 || sleeping_ == 0) return;
        const std::lock_guard<std::mutex> lock(mutex_);
        if (wanted >= sleeping_) {
            work_.notify_all();
        } else {
            for (; wanted > 0; --wanted) work_.notify_one();
        }
    }

    void wait_for_workers(Job &job) {
        const auto gone = [&] { return job.workers == 0; };
        if (gone() || spin(undersubscribed(), gone)) return;
        std::unique_lock<std::mutex> lock(mutex_);
        job.caller_sleeps = true;  // before the last look: see enter()
        finished_.wait(lock, gone);
        job.caller_sleeps = false;
    }

    // All in one order (the default of std::atomic): each pair of a mark that is set and a look that follows relies on it.
    alignas(64) std::atomic<std::uint32_t> epoch_{0};  // counts the jobs that were opened
    std::atomic<std::uint32_t> open_{0};               // the slots of jobs that workers may enter
    std::atomic<bool> stopping_{false};
    alignas(64) std::atomic<std::uint32_t> taken_{0};  // the slots that have a caller
    std::atomic<std::int32_t> callers_{0}, started_{0}, spinning_{0}, sleeping_{0};
    std::atomic<bool> cannot_start_{false};
    const std::int32_t hardware_threads_ = static_cast<std::int32_t>(std::thread::hardware_concurrency());
    Job jobs_[kMostJobs];
    std::mutex mutex_;  // for those who sleep, or start workers
    std::condition_variable work_, finished_;
    std::vector<std::thread> workers_;
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
