// The pool where threads are workers that JavaScript starts: each calls `work` and stays there; it ends when its worker is terminated.
#include "../runtime/pool.h"

namespace frugal {

// About 20 us of looking; then the thread sleeps until it is woken.
static constexpr int kSpins = 4000;

// Atomics.wait and Atomics.notify of JavaScript. WebAssembly's own instructions would do, but threads lose their place behind a wait in Node 20,
// until V8 has compiled the loop for the second time.
extern "C" __attribute__((import_module("env"), import_name("wait"))) void sleep_while(const void* word, uint32_t value);
extern "C" __attribute__((import_module("env"), import_name("notify"))) void wake_sleepers(const void* word);

static void await_change(std::atomic<uint32_t>& word, uint32_t from) {
  for (int spin = 0; spin < kSpins; ++spin)
    if (word.load(std::memory_order_acquire) != from) return;
  while (word.load(std::memory_order_acquire) == from) sleep_while(&word, from);
}

Pool::Pool(int threads) : threads_(threads < 1 ? 1 : threads) {}
Pool::~Pool() {}

void Pool::run(const std::function<void(int)>& job) {
  if (threads_ == 1) return job(0);
  job_ = &job;
  finished_.store(0, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  wake_sleepers(&generation_);
  job(0);
  for (uint32_t seen = finished_.load(std::memory_order_acquire); seen != uint32_t(threads_ - 1);
       seen = finished_.load(std::memory_order_acquire))
    await_change(finished_, seen);
}

void Pool::work(int thread) {
  for (uint32_t seen = 0;;) {
    await_change(generation_, seen);
    seen = generation_.load(std::memory_order_acquire);
    (*job_)(thread);
    finished_.fetch_add(1, std::memory_order_release);
    wake_sleepers(&finished_);
  }
}

void Pool::barrier() {
  if (threads_ == 1) return;
  const uint32_t phase = phase_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == uint32_t(threads_ - 1)) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_release);
    return wake_sleepers(&phase_);
  }
  await_change(phase_, phase);
}

}  // namespace frugal
