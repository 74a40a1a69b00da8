// Routing of rows to experts. Ops: src/ops/route-ids.ts, route-weights.ts, combine.ts; the experts' products are in matmul.cpp.
#include "kernel.h"

namespace frugal::FRUGAL_ISA {

// A heap of ids whose first is the last in the order of route_ids.
static inline bool comes_before(const float* row, int32_t a, int32_t b) { return row[a] > row[b] || (row[a] == row[b] && a < b); }
static inline void sink(const float* row, int32_t* heap, int64_t count, int32_t id) {
  int64_t place = 0;
  for (;;) {
    int64_t child = 2 * place + 1;
    if (child >= count) break;
    if (child + 1 < count && comes_before(row, heap[child], heap[child + 1])) ++child;
    if (!comes_before(row, id, heap[child])) break;
    heap[place] = heap[child];
    place = child;
  }
  heap[place] = id;
}
// Ids come in rising order; keeps the first `most` of them, and answers how many it holds now.
static inline int64_t offer(const float* row, int32_t id, int32_t* heap, int64_t count, int64_t most) {
  if (count == most) {
    if (row[id] > row[heap[0]]) sink(row, heap, most, id);
    return most;
  }
  int64_t place = count;
  for (; place > 0 && comes_before(row, heap[(place - 1) / 2], id); place = (place - 1) / 2) heap[place] = heap[(place - 1) / 2];
  heap[place] = id;
  return count + 1;
}

// The `count` largest of many numbers in the order of route_ids; `peaks` is room for `blocks` numbers. Numbers of blocks whose largest is
// below the count-th largest of all blocks' are not among them, so nearly all are looked at once, as vectors: 262,144 in 50 us.
static inline void largest_of_many(const float* row, int64_t width, int32_t* ids, int64_t count, float* peaks, int64_t blocks) {
  const int64_t size = (width + blocks - 1) / blocks;
  for (int64_t b = 0; b < blocks; ++b) {
    F32 peak = splat(-__builtin_inff());
    const int64_t from = b * size, n = width - from < size ? width - from : size;
    each(row + from, n > 0 ? n : 0, -__builtin_inff(), [&](F32 v, int64_t, int) { peak = max(v, peak); });
    peaks[b] = max(peak);
  }
  int64_t kept = 0;
  for (int64_t b = 0; b < blocks; ++b) kept = offer(peaks, int32_t(b), ids, kept, count);
  const float least = peaks[ids[0]];
  kept = 0;
  for (int64_t b = 0; b < blocks; ++b) {
    if (peaks[b] < least) continue;
    for (int64_t i = b * size; i < width && i < (b + 1) * size; ++i)
      if (row[i] >= least) kept = offer(row, int32_t(i), ids, kept, count);
  }
  for (int64_t left = kept; left > 1; --left) {
    const int32_t last = ids[0], moved = ids[left - 1];
    sink(row, ids, left - 1, moved);
    ids[left - 1] = last;
  }
  // Only where numbers are NaN.
  for (; kept < count; ++kept) ids[kept] = int32_t(kept);
}

}  // namespace frugal::FRUGAL_ISA

// The k largest of a row, largest first, the lower index on ties. arrays: logits [T, E], y [T, k] ids.
KERNEL(route_ids) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &y = step.arrays[1];
  const int64_t experts = x.last(), count = y.last();
  share(step, x.rows(), row_grain(experts * count), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const float* row = x.f() + r * experts;
      int32_t* ids = y.i() + r * count;
      const int64_t blocks = 8 * count < experts / 16 ? 8 * count : experts / 16;
      if (experts >= 2048 && blocks >= count && step.scratch_bytes >= size_t(blocks) * 4) {
        largest_of_many(row, experts, ids, count, reinterpret_cast<float*>(step.scratch), blocks);
        continue;
      }
      for (int64_t j = 0; j < count; ++j) {
        int32_t best = -1;
        for (int32_t e = 0; e < experts; ++e) {
          bool taken = false;
          for (int64_t i = 0; i < j; ++i) taken = taken || ids[i] == e;
          if (!taken && (best < 0 || row[e] > row[best])) best = e;
        }
        ids[j] = best;
      }
    }
  });
}

// softmax over all experts at the chosen ones, made to sum to 1 if asked. arrays: logits [T, E], ids [T, k], y [T, k]; integers: normalize.
KERNEL(route_weights) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &ids = step.arrays[1], &y = step.arrays[2];
  const int64_t experts = x.last(), count = y.last();
  share(step, x.rows(), row_grain(experts), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const float* row = x.f() + r * experts;
      F32 peaks = splat(-__builtin_inff()), sums = splat(0);
      each(row, experts, -__builtin_inff(), [&](F32 v, int64_t, int) { peaks = max(v, peaks); });
      const F32 peak = splat(max(peaks));
      each(row, experts, -__builtin_inff(), [&](F32 v, int64_t, int) { sums += exp(v - peak); });
      float total = 0;
      float* out = y.f() + r * count;
      for (int64_t j = 0; j < count; ++j) {
        const int64_t id = ids.i()[r * count + j];
        if (id < 0 || id >= experts) return raise(step, kIdOutOfRange, id);
        out[j] = exp(splat(row[id]) - peak)[0];
        total += out[j];
      }
      const float scale = 1 / (step.integers[0] ? total : sum(sums));
      for (int64_t j = 0; j < count; ++j) out[j] *= scale;
    }
  });
}

// y[t] = sum over j of weights[t][j] * x[t*k+j]. arrays: x [T*k, channels], weights [T, k], y [T, channels].
KERNEL(combine) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &weights = step.arrays[1], &y = step.arrays[2];
  const int64_t width = y.last(), count = weights.last();
  share(step, y.rows(), row_grain(width * count), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r)
      for (int64_t c = 0; c < width; c += kLanes) {
        const int n = width - c < kLanes ? int(width - c) : kLanes;
        F32 acc = splat(0);
        for (int64_t j = 0; j < count; ++j)
          acc = fma(splat(weights.f()[r * count + j]), load_first(x.f() + (r * count + j) * width + c, n, 0), acc);
        store_first(y.f() + r * width + c, n, acc);
      }
  });
}
