// Threads that do the steps of one model together: each job is run by all of them, with a barrier that spins briefly, then sleeps.
#pragma once
#include <stdint.h>

#include <atomic>
#include <functional>
#if !defined(__wasm__)
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>
#endif

namespace frugal {

class Pool {
 public:
  // The caller of run() is thread 0; `threads - 1` more are started. Throws std::system_error where the system gives too few.
  explicit Pool(int threads);
  ~Pool();
  int threads() const { return threads_; }
  // Runs job(thread) on all threads and waits for all.
  void run(const std::function<void(int)>& job);
  // Inside a job: waits until all threads are here.
  void barrier();
#if defined(__wasm__)
  // WebAssembly starts no threads: workers, one for each thread but the first, call this and never return (native/wasm/pool.cpp).
  void work(int thread);
#endif

 private:
  const int threads_;
  const std::function<void(int)>* job_ = nullptr;
  std::atomic<uint32_t> generation_{0}, arrived_{0}, phase_{0}, finished_{0};
#if !defined(__wasm__)
  void end();
  void work(int thread);
  std::vector<std::thread> workers_;
  std::atomic<bool> ending_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
#endif
};

}  // namespace frugal
