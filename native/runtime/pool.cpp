#include "pool.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define FRUGAL_PAUSE() _mm_pause()
#elif defined(__aarch64__)
// Most cores do nothing at all for YIELD; ISB takes about as long as x86's pause.
#define FRUGAL_PAUSE() asm volatile("isb" ::: "memory")
#else
#define FRUGAL_PAUSE() std::this_thread::yield()
#endif

namespace frugal {

// About 20 us of pauses; then the processor is given away, so that more threads than cores stay usable.
static constexpr int kSpins = 2000;

Pool::Pool(int threads) : threads_(threads < 1 ? 1 : threads) {
  try {
    for (int t = 1; t < threads_; ++t) workers_.emplace_back([this, t] { work(t); });
  } catch (...) {
    end();  // the system gives no more threads; those that run must not outlive us
    throw;
  }
}

Pool::~Pool() { end(); }

void Pool::end() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void Pool::run(const std::function<void(int)>& job) {
  if (threads_ == 1) return job(0);
  {
    std::lock_guard lock(mutex_);
    job_ = &job;
    finished_ = 0;
    generation_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  job(0);
  for (int spin = 0; finished_.load(std::memory_order_acquire) != uint32_t(threads_ - 1); ++spin) {
    if (spin < kSpins) FRUGAL_PAUSE();
    else std::this_thread::yield();
  }
}

void Pool::work(int thread) {
  uint32_t seen = 0;
  for (;;) {
    for (int spin = 0; spin < kSpins && generation_.load(std::memory_order_acquire) == seen && !ending_; ++spin) FRUGAL_PAUSE();
    if (generation_.load(std::memory_order_acquire) == seen) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return ending_ || generation_.load(std::memory_order_acquire) != seen; });
    }
    if (ending_) return;
    seen = generation_.load(std::memory_order_acquire);
    (*job_)(thread);
    finished_.fetch_add(1, std::memory_order_release);
  }
}

void Pool::barrier() {
  if (threads_ == 1) return;
  const uint32_t phase = phase_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == uint32_t(threads_ - 1)) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_release);
    return;
  }
  for (int spin = 0; phase_.load(std::memory_order_acquire) == phase; ++spin) {
    if (spin < kSpins) FRUGAL_PAUSE();
    else std::this_thread::yield();
  }
}

}  // namespace frugal
