#pragma once
#include <stdint.h>

#include "../runtime/step.h"
#include "../simd/simd.h"

#define FRUGAL_CAT_(a, b) a##_##b
#define FRUGAL_CAT(a, b) FRUGAL_CAT_(a, b)
// KERNEL(softmax) in the avx2 build defines the C symbol frugal_softmax_avx2.
#define KERNEL(name)                                                                                                            \
  extern "C" void FRUGAL_CAT(frugal_##name, FRUGAL_ISA)([[maybe_unused]] const frugal::Step& step, [[maybe_unused]] int thread, \
                                                        [[maybe_unused]] int threads)

namespace frugal::FRUGAL_ISA {

// Calls work(first, last) over pieces of [0, count) until none is left; `grain` items a piece.
template <class F> static inline void share(const Step& step, int64_t count, int64_t grain, F work) {
  const int64_t pieces = (count + grain - 1) / grain;
  for (;;) {
    const int64_t piece = step.next->fetch_add(1, std::memory_order_relaxed);
    if (piece >= pieces) return;
    const int64_t last = (piece + 1) * grain;
    work(piece * grain, last < count ? last : count);
  }
}
// The same, each thread from a part of its own, so that it reads one stream of memory; then from what is left of the others'.
template <class F> static inline void share_parts(const Step& step, int thread, int threads, int64_t count, int64_t grain, F work) {
  if (!step.claims) return share(step, count, grain, work);
  for (int i = 0; i < threads; ++i) {
    const int part = (thread + i) % threads;
    const int64_t begin = count * part / threads, end = count * (part + 1) / threads;
    for (;;) {
      const int64_t first = begin + step.claims[part].next.fetch_add(1, std::memory_order_relaxed) * grain;
      if (first >= end) break;
      work(first, first + grain < end ? first + grain : end);
    }
  }
}
// A piece of the rows large enough to be worth the counter: about 16 K numbers.
static inline int64_t row_grain(int64_t width) { return width >= 16384 ? 1 : 16384 / (width > 0 ? width : 1); }

static inline void raise(const Step& step, Fault fault, int64_t detail = 0) {
  step.detail->store(int32_t(detail), std::memory_order_relaxed);
  step.fault->store(fault, std::memory_order_relaxed);
}

}  // namespace frugal::FRUGAL_ISA
