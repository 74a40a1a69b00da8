// The gradient of attention over rows (src/ops/attention.ts): scores are computed again, 64 queries and 512 keys at a time, as in
// FlashAttention's way back (Dao et al. 2022, arXiv 2205.14135, algorithm 4). A piece of work is one head of keys of one sequence, so what
// its queries add to keys and values is added in one order.
#include "gemm.h"

namespace frugal::FRUGAL_ISA {

constexpr int64_t kQueries = 64, kKeys = 512;

struct GradientRule {
  int64_t heads, key_heads, window;
  bool causal;
  float scale, softcap;
  const float* slopes;
};

}  // namespace frugal::FRUGAL_ISA

// arrays: q [T, heads · size], k, v, rowOffsets [S+1], dy, then dq, dk, dv, each or nothing; integers: heads, key heads, window, causal;
// numbers: scale, softcap, slopes...
KERNEL(attention_gradient) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &q = step.arrays[0], &k = step.arrays[1], &v = step.arrays[2], &offsets = step.arrays[3], &dy = step.arrays[4],
              &dq = step.arrays[5], &dk = step.arrays[6], &dv = step.arrays[7];
  const GradientRule rule{step.integers[0],
                          step.integers[1],
                          step.integers[2],
                          step.integers[3] != 0,
                          step.numbers[0],
                          step.numbers[1],
                          step.number_count > 2 ? step.numbers + 2 : nullptr};
  const int64_t size = q.last() / rule.heads, value_size = dy.last() / rule.heads, group = rule.heads / rule.key_heads;
  const int64_t q_stride = q.last(), k_stride = k.last(), v_stride = v.last(), y_stride = dy.last();
  const size_t own = (2 * kQueries * kKeys + 3 * kQueries) * 4;
  if (step.scratch_bytes < kGemmScratch + own) return raise(step, kScratchTooSmall);
  float *scores = reinterpret_cast<float*>(step.scratch + kGemmScratch), *slants = scores + kQueries * kKeys,
        *peaks = slants + kQueries * kKeys, *sums = peaks + kQueries, *dots = sums + kQueries;
  {
    int64_t row = 0;
    for (int64_t s = 0; s + 1 < offsets.size(); ++s) {
      if (offsets.i()[s] != row || offsets.i()[s + 1] < row) return raise(step, kIdOutOfRange, offsets.i()[s + 1]);
      row = offsets.i()[s + 1];
    }
    if (row != q.rows()) return raise(step, kIdOutOfRange, row);
  }
  const int64_t sequences = offsets.size() - 1;
  share(step, sequences * rule.key_heads, 1, [&](int64_t item, int64_t) {
    const int64_t s = item / rule.key_heads, key_head = item % rule.key_heads, start = offsets.i()[s], length = offsets.i()[s + 1] - start;
    const float *keys = k.f() + start * k_stride + key_head * size, *values = v.f() + start * v_stride + key_head * value_size;
    float* key_gradient = dk.data ? dk.f() + start * k_stride + key_head * size : nullptr;
    float* value_gradient = dv.data ? dv.f() + start * v_stride + key_head * value_size : nullptr;
    for (int64_t j = 0; j < length; ++j) {
      if (key_gradient) memset(key_gradient + j * k_stride, 0, size_t(size) * 4);
      if (value_gradient) memset(value_gradient + j * v_stride, 0, size_t(value_size) * 4);
    }
    for (int64_t head = key_head * group; head < (key_head + 1) * group; ++head)
      for (int64_t i0 = 0; i0 < length; i0 += kQueries) {
        const int64_t i1 = i0 + kQueries < length ? i0 + kQueries : length, count = i1 - i0;
        const float* queries = q.f() + (start + i0) * q_stride + head * size;
        const float* upper = dy.f() + (start + i0) * y_stride + head * value_size;
        const int64_t end = rule.causal ? i1 : length, low = rule.window > 0 && i0 + 1 > rule.window ? i0 + 1 - rule.window : 0;
        const float slope = rule.slopes ? rule.slopes[head] : 0;
        // Scores and dP of keys [j0, j1).
        const auto compute = [&](int64_t j0, int64_t j1) {
          gemm({queries, q_stride, 1}, {keys + j0 * k_stride, 1, k_stride}, count, 0, j1 - j0, size, {scores, kKeys, rule.scale},
               step.scratch);
          gemm({upper, y_stride, 1}, {values + j0 * v_stride, 1, v_stride}, count, 0, j1 - j0, value_size, {slants, kKeys}, step.scratch);
          for (int64_t r = 0; r < count; ++r) {
            float* row = scores + r * kKeys;
            if (rule.softcap > 0)
              each(row, j1 - j0, 0,
                   [&](F32 x, int64_t i, int n) { store_first(row + i, n, splat(rule.softcap) * tanh(x / splat(rule.softcap))); });
            if (slope != 0)
              for (int64_t j = j0; j < j1; ++j) row[j - j0] += slope * float(j - (i0 + r));
            if (rule.causal && j1 > i0 + r + 1)
              for (int64_t j = i0 + r + 1 > j0 ? i0 + r + 1 : j0; j < j1; ++j) row[j - j0] = -__builtin_inff();
            if (rule.window > 0)
              for (int64_t j = j0; j < j1 && i0 + r - j >= rule.window; ++j) row[j - j0] = -__builtin_inff();
          }
        };
        for (int64_t r = 0; r < count; ++r) peaks[r] = -__builtin_inff(), sums[r] = dots[r] = 0;
        for (int64_t j0 = low; j0 < end; j0 += kKeys) {
          const int64_t j1 = j0 + kKeys < end ? j0 + kKeys : end;
          compute(j0, j1);
          for (int64_t r = 0; r < count; ++r) {
            const float *row = scores + r * kKeys, *slant = slants + r * kKeys;
            F32 highest = splat(-__builtin_inff());
            each(row, j1 - j0, -__builtin_inff(), [&](F32 x, int64_t, int) { highest = max(x, highest); });
            const float here = max(highest), top = here > peaks[r] ? here : peaks[r];
            if (top == -__builtin_inff()) continue;  // none of these keys is seen
            const float fade = exp(splat(peaks[r] - top))[0];
            F32 total = splat(0), product = splat(0);
            each(row, j1 - j0, -__builtin_inff(), [&](F32 x, int64_t i, int n) {
              const F32 e = exp(x - splat(top));
              total += e;
              product = fma(e, load_first(slant + i, n, 0), product);
            });
            sums[r] = sums[r] * fade + sum(total);
            dots[r] = dots[r] * fade + sum(product);
            peaks[r] = top;
          }
        }
        for (int64_t j0 = low; j0 < end; j0 += kKeys) {
          const int64_t j1 = j0 + kKeys < end ? j0 + kKeys : end;
          if (end - low > kKeys) compute(j0, j1);
          for (int64_t r = 0; r < count; ++r) {
            float *row = scores + r * kKeys, *slant = slants + r * kKeys;
            const F32 top = splat(peaks[r]), one = splat(1 / sums[r]), mean = splat(dots[r] / sums[r]);
            each(row, j1 - j0, -__builtin_inff(), [&](F32 x, int64_t i, int n) {
              const F32 p = exp(x - top) * one;
              F32 d = p * (load_first(slant + i, n, 0) - mean);
              if (rule.softcap > 0) {
                // The cap's slope is 1 - (capped / cap)², where the bias is taken off again.
                F32 capped = x;
                if (slope != 0)
                  for (int lane = 0; lane < n; ++lane) capped[lane] -= slope * float(j0 + i + lane - (i0 + r));
                const F32 t = capped / splat(rule.softcap), factor = splat(1) - t * t;
                d = p > splat(0) ? d * factor : splat(0);
              }
              store_first(row + i, n, p);
              store_first(slant + i, n, d);
            });
          }
          const int64_t some = j1 - j0;
          if (value_gradient)
            gemm({scores, 1, kKeys}, {upper, y_stride, 1}, some, 0, value_size, count,
                 {value_gradient + j0 * v_stride, v_stride, 1, nullptr, 0, true}, step.scratch);
          if (key_gradient)
            gemm({slants, 1, kKeys}, {queries, q_stride, 1}, some, 0, size, count,
                 {key_gradient + j0 * k_stride, k_stride, rule.scale, nullptr, 0, true}, step.scratch);
          if (dq.data)
            gemm({slants, kKeys, 1}, {keys + j0 * k_stride, k_stride, 1}, count, 0, size, some,
                 {dq.f() + (start + i0) * q_stride + head * size, q_stride, rule.scale, nullptr, 0, j0 > low}, step.scratch);
        }
      }
  });
}
