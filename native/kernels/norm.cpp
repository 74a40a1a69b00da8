// Norms and softmax over rows. Ops: src/ops/rms-norm.ts, layer-norm.ts, softmax.ts. Sums run over vectors in order, then over the lanes of one vector.
#include "kernel.h"

// arrays: x [rows, channels], weight [channels or channels / groups], y; integers: groups; numbers: epsilon.
KERNEL(rms_norm) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &weight = step.arrays[1], &y = step.arrays[2];
  const int64_t groups = step.integers[0], width = x.last() / groups;
  const bool shared = weight.last() == width;
  share(step, x.rows() * groups, row_grain(width), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const float *from = x.f() + r * width, *w = weight.f() + (shared ? 0 : r % groups * width);
      float* to = y.f() + r * width;
      F32 squares = splat(0);
      each(from, width, 0, [&](F32 v, int64_t, int) { squares = fma(v, v, squares); });
      const F32 scale = splat(1) / sqrt(splat(sum(squares) / float(width) + step.numbers[0]));
      each(from, width, 0, [&](F32 v, int64_t i, int n) { store_first(to + i, n, v * scale * load_first(w + i, n, 0)); });
    }
  });
}

// arrays: x, weight [channels], bias [channels], y; numbers: epsilon.
KERNEL(layer_norm) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &weight = step.arrays[1], &bias = step.arrays[2], &y = step.arrays[3];
  const int64_t width = x.last();
  share(step, x.rows(), row_grain(width), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const float* from = x.f() + r * width;
      float* to = y.f() + r * width;
      F32 sums = splat(0), squares = splat(0);
      each(from, width, 0, [&](F32 v, int64_t, int) { sums += v; });
      const F32 mean = splat(sum(sums) / float(width));
      each(from, width, mean[0], [&](F32 v, int64_t, int) { squares = fma(v - mean, v - mean, squares); });
      const F32 scale = splat(1) / sqrt(splat(sum(squares) / float(width) + step.numbers[0]));
      each(from, width, 0, [&](F32 v, int64_t i, int n) {
        store_first(to + i, n, fma((v - mean) * scale, load_first(weight.f() + i, n, 0), load_first(bias.f() + i, n, 0)));
      });
    }
  });
}

// softmax along one axis: arrays x, y; integers: axis. Lines of the last axis are contiguous; others are copied to scratch.
KERNEL(softmax) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &y = step.arrays[1];
  int64_t inner = 1;
  for (int d = step.integers[0] + 1; d < x.rank; ++d) inner *= x.dim[d];
  const int64_t width = x.dim[step.integers[0]];
  if (inner > 1 && step.scratch_bytes < size_t(width) * 4) return raise(step, kScratchTooSmall);
  float* line = reinterpret_cast<float*>(step.scratch);
  share(step, width > 0 ? x.size() / width : 0, row_grain(width), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const int64_t at = r / inner * inner * width + r % inner;
      const float* from = x.f() + at;
      float* to = y.f() + at;
      if (inner > 1) {
        for (int64_t i = 0; i < width; ++i) line[i] = from[i * inner];
        from = line;
        to = line;
      }
      F32 peaks = splat(-__builtin_inff());
      each(from, width, -__builtin_inff(), [&](F32 v, int64_t, int) { peaks = max(v, peaks); });
      const F32 peak = splat(max(peaks));
      F32 sums = splat(0);
      each(from, width, -__builtin_inff(), [&](F32 v, int64_t i, int n) {
        const F32 e = exp(v - peak);
        sums += e;
        store_first(to + i, n, e);
      });
      const F32 scale = splat(1 / sum(sums));
      each(to, width, 0, [&](F32 v, int64_t i, int n) { store_first(to + i, n, v * scale); });
      if (inner > 1)
        for (int64_t i = 0; i < width; ++i) y.f()[at + i * inner] = line[i];
    }
  });
}
