// Cross-entropy and its gradient. Ops: src/ops/cross-entropy.ts, linear-cross-entropy.ts.
#include "gemm.h"

namespace frugal::FRUGAL_ISA {

// The largest of a row, and the sum of exp(x - largest).
static inline void row_sums(const float* row, int64_t width, float* largest, float* total) {
  F32 peaks = splat(-__builtin_inff()), sums = splat(0);
  each(row, width, -__builtin_inff(), [&](F32 v, int64_t, int) { peaks = max(v, peaks); });
  const F32 peak = splat(max(peaks));
  each(row, width, -__builtin_inff(), [&](F32 v, int64_t, int) { sums += exp(v - peak); });
  *largest = peak[0];
  *total = sum(sums);
}
static inline float log_of(float v) { return log(splat(v))[0]; }

}  // namespace frugal::FRUGAL_ISA

// -log softmax(x)[target], 0 for negative targets. arrays: logits [rows, V], targets [rows], y [rows, 1].
KERNEL(cross_entropy) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &targets = step.arrays[1], &y = step.arrays[2];
  const int64_t width = x.last();
  share(step, x.rows(), row_grain(width), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const int64_t target = targets.i()[r];
      if (target >= width) return raise(step, kIdOutOfRange, target);
      if (target < 0) {
        y.f()[r] = 0;
        continue;
      }
      float peak, total;
      row_sums(x.f() + r * width, width, &peak, &total);
      y.f()[r] = log_of(total) + peak - x.f()[r * width + target];
    }
  });
}

// The same, and the logits become the gradient (softmax - target) · dy. arrays: targets [rows], dy [rows, 1], losses [rows, 1] or nothing,
// logits [rows, V].
KERNEL(cross_entropy_errors) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &targets = step.arrays[0], &dy = step.arrays[1], &losses = step.arrays[2], &x = step.arrays[3];
  const int64_t width = x.last();
  share(step, x.rows(), row_grain(width), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const int64_t target = targets.i()[r];
      float* row = x.f() + r * width;
      if (target >= width) return raise(step, kIdOutOfRange, target);
      if (target < 0) {
        memset(row, 0, size_t(width) * 4);
        if (losses.data) losses.f()[r] = 0;
        continue;
      }
      float peak, total;
      row_sums(row, width, &peak, &total);
      if (losses.data) losses.f()[r] = log_of(total) + peak - row[target];
      const float weight = dy.f()[r];
      const F32 top = splat(peak), factor = splat(weight / total);
      each(row, width, 0, [&](F32 v, int64_t i, int n) { store_first(row + i, n, exp(v - top) * factor); });
      row[target] -= weight;
    }
  });
}

// linear_cross_entropy: losses of x · tableᵀ a block of rows and a block of the vocabulary at a time, so that logits are never all there
// (Wijmans et al. 2024, arXiv 2411.09009); and, where dy is given, the gradient of x, for which the logits are computed again.
// arrays: x [rows, K], table [V, K] or a matrix, targets [rows], dy [rows, 1] or nothing, losses [rows, 1] or nothing, dx [rows, K] or nothing,
// logarithms [rows] of the sums of exp(logit) or nothing; integers: V.
KERNEL(linear_cross_entropy) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &table = step.arrays[1], &targets = step.arrays[2], &dy = step.arrays[3], &losses = step.arrays[4],
              &dx = step.arrays[5], &logarithms = step.arrays[6];
  const int64_t rows = x.rows(), inner = x.last(), vocabulary = step.integers[0];
  constexpr int64_t block = kBlockRows, part = kBlockColumns;
  const size_t own = size_t(block) * part * 4 + 3 * block * 4;
  if (step.scratch_bytes < kGemmScratch + own) return raise(step, kScratchTooSmall);
  for (int64_t r = 0; r < rows; ++r)
    if (targets.i()[r] >= vocabulary) return raise(step, kIdOutOfRange, targets.i()[r]);
  float *logits = reinterpret_cast<float*>(step.scratch + kGemmScratch), *peaks = logits + block * part, *sums = peaks + block,
        *hits = sums + block;
  const Right forward = table.matrix ? Right{nullptr, 0, 0, table.matrix, false} : Right{table.f(), 1, inner};
  const Right back = table.matrix ? Right{nullptr, 0, 0, table.matrix, true} : Right{table.f(), inner, 1};
  // As many rows a piece as keep all threads busy, at most a block.
  int64_t piece = (rows + threads - 1) / threads;
  if (piece > block) piece = block;
  share(step, rows, piece > 0 ? piece : 1, [&](int64_t first, int64_t last) {
    const int64_t count = last - first;
    const Left left{x.f() + first * inner, inner, 1};
    const auto compute = [&](int64_t from, int64_t until) {
      // Columns from..until of the product lie at 0.. of `logits`.
      gemm(left, forward, count, from, until, inner, {logits - from, part}, step.scratch);
    };
    for (int64_t r = 0; r < count; ++r) peaks[r] = -__builtin_inff(), sums[r] = 0, hits[r] = 0;
    for (int64_t from = 0; from < vocabulary; from += part) {
      const int64_t until = from + part < vocabulary ? from + part : vocabulary;
      compute(from, until);
      for (int64_t r = 0; r < count; ++r) {
        const int64_t target = targets.i()[first + r];
        if (target < 0) continue;
        float peak, total;
        row_sums(logits + r * part, until - from, &peak, &total);
        const float top = peak > peaks[r] ? peak : peaks[r];
        sums[r] = sums[r] * exp(splat(peaks[r] - top))[0] + total * exp(splat(peak - top))[0];
        peaks[r] = top;
        if (target >= from && target < until) hits[r] = logits[r * part + target - from];
      }
    }
    if (losses.data)
      for (int64_t r = 0; r < count; ++r) losses.f()[first + r] = targets.i()[first + r] < 0 ? 0 : log_of(sums[r]) + peaks[r] - hits[r];
    if (logarithms.data)
      for (int64_t r = 0; r < count; ++r) logarithms.f()[first + r] = targets.i()[first + r] < 0 ? 0 : log_of(sums[r]) + peaks[r];
    if (!dx.data) return;
    for (int64_t from = 0; from < vocabulary; from += part) {
      const int64_t until = from + part < vocabulary ? from + part : vocabulary;
      compute(from, until);
      for (int64_t r = 0; r < count; ++r) {
        const int64_t target = targets.i()[first + r];
        float* row = logits + r * part;
        if (target < 0) {
          memset(row, 0, size_t(until - from) * 4);
          continue;
        }
        const F32 top = splat(peaks[r]), factor = splat(dy.f()[first + r] / sums[r]);
        each(row, until - from, 0, [&](F32 v, int64_t i, int n) { store_first(row + i, n, exp(v - top) * factor); });
        if (target >= from && target < until) row[target - from] -= dy.f()[first + r];
      }
      Right part_of_table = back;
      if (!table.matrix) part_of_table.p += from * inner;
      else part_of_table.first = from;
      gemm({logits, part, 1}, part_of_table, count, 0, inner, until - from, {dx.f() + first * inner, inner, 1, nullptr, 0, from > 0},
           step.scratch);
    }
  });
}

// The gradient of the table, a part of the vocabulary a piece: errors of all rows there, times the rows.
// arrays: x, table, targets, dy, logarithms of the sums of exp(logit), dtable [V, K]; integers: V.
KERNEL(linear_cross_entropy_table) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &table = step.arrays[1], &targets = step.arrays[2], &dy = step.arrays[3], &logarithms = step.arrays[4],
              &dtable = step.arrays[5];
  const int64_t rows = x.rows(), inner = x.last(), vocabulary = step.integers[0];
  constexpr int64_t block = kBlockRows, part = kBlockColumns;
  if (step.scratch_bytes < kGemmScratch + size_t(block) * part * 4) return raise(step, kScratchTooSmall);
  float* logits = reinterpret_cast<float*>(step.scratch + kGemmScratch);
  const Right forward = table.matrix ? Right{nullptr, 0, 0, table.matrix, false} : Right{table.f(), 1, inner};
  int64_t piece = (vocabulary + threads * 4 - 1) / (threads * 4);
  piece = piece > part ? part : (piece + 63) / 64 * 64;
  share(step, vocabulary, piece, [&](int64_t from, int64_t until) {
    for (int64_t first = 0; first < rows; first += block) {
      const int64_t count = rows - first < block ? rows - first : block;
      gemm({x.f() + first * inner, inner, 1}, forward, count, from, until, inner, {logits - from, part}, step.scratch);
      for (int64_t r = 0; r < count; ++r) {
        const int64_t target = targets.i()[first + r];
        float* row = logits + r * part;
        if (target < 0) {
          memset(row, 0, size_t(until - from) * 4);
          continue;
        }
        const F32 top = splat(logarithms.f()[first + r]), factor = splat(dy.f()[first + r]);
        each(row, until - from, 0, [&](F32 v, int64_t i, int n) { store_first(row + i, n, exp(v - top) * factor); });
        if (target >= from && target < until) row[target - from] -= dy.f()[first + r];
      }
      gemm({logits, 1, part}, {x.f() + first * inner, inner, 1}, until - from, 0, inner, count,
           {dtable.f() + from * inner, inner, 1, nullptr, 0, first > 0}, step.scratch);
    }
    if (rows == 0) memset(dtable.f() + from * inner, 0, size_t((until - from) * inner) * 4);
  });
}
