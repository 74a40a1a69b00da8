// Routing of rows to experts. Ops: src/ops/route-ids.ts, route-weights.ts, combine.ts; the experts' products are in matmul.cpp.
#include "kernel.h"

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
