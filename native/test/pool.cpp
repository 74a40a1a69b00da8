// The pool under stress: every thread runs every job once, barriers hold, and pools come and go.
#include "../runtime/pool.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <system_error>

#include "check.h"

namespace frugal::test {

TEST(pool_jobs) {
  for (const int threads : {1, 2, 3, 4}) {
    Pool pool(threads);
    CHECK(pool.threads() == threads, "%d threads", pool.threads());
    // Not atomic: the pool itself must order one job before the next.
    std::vector<int> runs(size_t(threads), 0);
    for (int job = 0; job < 3000; ++job) pool.run([&](int thread) { ++runs[size_t(thread)]; });
    for (int t = 0; t < threads; ++t) CHECK(runs[size_t(t)] == 3000, "thread %d of %d ran %d jobs", t, threads, runs[size_t(t)]);
  }
}

// Between two barriers every thread sees what all have written before the first.
TEST(pool_barriers) {
  for (const int threads : {1, 2, 4}) {
    Pool pool(threads);
    std::vector<int> step(size_t(threads), 0), wrong(size_t(threads), 0);
    for (int job = 0; job < 20; ++job)
      pool.run([&](int thread) {
        for (int i = 0; i < 100; ++i) {
          ++step[size_t(thread)];
          pool.barrier();
          for (const int other : step) wrong[size_t(thread)] += other != job * 100 + i + 1;
          pool.barrier();
        }
      });
    for (int t = 0; t < threads; ++t)
      CHECK(wrong[size_t(t)] == 0, "thread %d of %d saw %d values too early or too late", t, threads, wrong[size_t(t)]);
  }
}

// Workers that have gone to sleep wake; pools that never ran end.
TEST(pool_sleep_and_end) {
  for (int i = 0; i < 20; ++i) Pool idle(3);
  Pool pool(3);
  std::atomic<int> runs{0};
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    pool.run([&](int) { ++runs; });
  }
  CHECK(runs == 60, "%d runs", runs.load());
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
#define FRUGAL_PLAIN 1
#elif defined(__has_feature)
#define FRUGAL_PLAIN (!__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer))
#endif
#if FRUGAL_PLAIN && defined(__linux__)
// Where the system has no more threads, the pool is refused by an exception that callers can catch. In a process of its own, whose memory is
// limited to what few stacks take; sanitizers need more than that.
TEST(pool_without_threads) {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit{size_t(256) << 20, size_t(256) << 20};
    rlimit set{};
    setrlimit(RLIMIT_AS, &limit);
    getrlimit(RLIMIT_AS, &set);
    if (set.rlim_cur != limit.rlim_cur) _exit(0);  // an emulator limits nothing
    try {
      Pool pool(512);
      _exit(1);
    } catch (const std::system_error&) { _exit(0); }
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
}
#endif

// Several pools at once, as several models in one process have.
TEST(pool_neighbours) {
  std::vector<std::thread> drivers;
  std::atomic<int> runs{0};
  for (int d = 0; d < 3; ++d)
    drivers.emplace_back([&] {
      Pool pool(2);
      for (int i = 0; i < 300; ++i) pool.run([&](int) { pool.barrier(), ++runs; });
    });
  for (auto& driver : drivers) driver.join();
  CHECK(runs == 1800, "%d runs", runs.load());
}

}  // namespace frugal::test
