#include "calibrate.h"

#include <string.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "memory.h"
#include "pool.h"

namespace frugal {

// More than any processor's caches hold, and small enough for a small machine.
static constexpr size_t kReadBytes = size_t(256) << 20;
static constexpr int kReadPasses = 9;
// Short and many: on a busy machine some of them still have the processor for themselves.
static constexpr int kArithmeticPasses = 60;
static constexpr double kLeastSeconds = 0.003;

namespace {

struct Pass {
  double work, seconds;
  double rate() const { return work / seconds; }
};

// Padded, so that threads don't write to one cache line.
struct alignas(64) Share {
  double work;
  int32_t sink;
};

Pass measure(Pool& pool, ProbeLoop loop, Probe probe, const Memory& memory, int64_t rounds) {
  std::vector<Share> shares(size_t(pool.threads()));
  const size_t bytes = memory.bytes() / size_t(pool.threads()) / 4096 * 4096;
  const auto started = std::chrono::steady_clock::now();
  pool.run([&](int thread) {
    Share& share = shares[size_t(thread)];
    share.work = loop(int(probe), memory.data() + bytes * size_t(thread), bytes, rounds, &share.sink);
  });
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  double work = 0;
  for (const Share& share : shares) work += share.work;
  return {work, std::max(took.count(), 1e-9)};
}

}  // namespace

double calibrate(ProbeLoop loop, Probe probe, int threads) {
  Pool pool(threads);
  const bool reads = probe == Probe::read;
  Memory memory(reads ? kReadBytes : 0, true);
  if (!memory.data()) return 0;
  if (reads) {
    // Written first: pages that were never written are all the same page of zeros.
    const size_t share = memory.bytes() / size_t(threads);
    pool.run([&](int thread) { memset(memory.data() + share * size_t(thread), thread + 1, share); });
  }
  int64_t rounds = 1;
  const auto quickest_of_three = [&] {
    double least = measure(pool, loop, probe, memory, rounds).seconds;
    for (int pass = 1; pass < 3; ++pass) least = std::min(least, measure(pool, loop, probe, memory, rounds).seconds);
    return least;
  };
  if (!reads)
    for (rounds = 1 << 12; quickest_of_three() < kLeastSeconds;) rounds *= 2;
  std::vector<double> rates;
  for (int pass = reads ? kReadPasses : kArithmeticPasses; pass > 0; --pass)
    rates.push_back(measure(pool, loop, probe, memory, rounds).rate());
  std::sort(rates.begin(), rates.end());
  return reads ? rates[kReadPasses / 2] : rates.back();
}

}  // namespace frugal
