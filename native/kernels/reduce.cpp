// Sums, maxima and choices over lines of numbers.
#include "kernel.h"

namespace frugal::FRUGAL_ISA {

// Calls f(first element, stride, count, index of the line) for every line of x along the axis.
template <class F> static inline void each_line(const Step& step, const Array& x, int axis, F f) {
  int64_t inner = 1;
  for (int d = axis + 1; d < x.rank; ++d) inner *= x.dim[d];
  const int64_t count = x.dim[axis], lines = count > 0 ? x.size() / count : 0;
  share(step, lines, row_grain(count), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) f(x.f() + r / inner * inner * count + r % inner, inner, count, r);
  });
}

}  // namespace frugal::FRUGAL_ISA

// arrays: x, y (the axis has size 1); integers: axis.
KERNEL(sum) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array& y = step.arrays[1];
  each_line(step, step.arrays[0], step.integers[0], [&](const float* x, int64_t stride, int64_t count, int64_t line) {
    float total = 0;
    if (stride == 1) {
      F32 sums = splat(0);
      each(x, count, 0, [&](F32 v, int64_t, int) { sums += v; });
      total = sum(sums);
    } else {
      for (int64_t i = 0; i < count; ++i) total += x[i * stride];
    }
    y.f()[line] = total;
  });
}

// arrays: x, y; integers: axis.
KERNEL(peak) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array& y = step.arrays[1];
  each_line(step, step.arrays[0], step.integers[0], [&](const float* x, int64_t stride, int64_t count, int64_t line) {
    float highest = -__builtin_inff();
    for (int64_t i = 0; i < count; ++i) highest = x[i * stride] > highest ? x[i * stride] : highest;
    y.f()[line] = highest;
  });
}

// argmax: the lowest index among the largest. arrays: x [rows, channels], y [rows] ids.
KERNEL(argmax) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &y = step.arrays[1];
  const int64_t width = x.last();
  share(step, x.rows(), 1, [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const float* row = x.f() + r * width;
      // By blocks, so that only one is read again to find the place.
      constexpr int64_t block = 2048;
      float highest = -__builtin_inff();
      int64_t at = 0;
      for (int64_t start = 0; start < width; start += block) {
        F32 peaks = splat(-__builtin_inff());
        each(row + start, width - start < block ? width - start : block, -__builtin_inff(),
             [&](F32 v, int64_t, int) { peaks = max(v, peaks); });
        const float here = max(peaks);
        if (here > highest) {
          highest = here;
          at = start;
        }
      }
      while (at + 1 < width && row[at] != highest) ++at;
      y.i()[r] = int32_t(at);
    }
  });
}

// pool: one row a sequence. arrays: x [T, channels], rowOffsets [S+1], y [S, channels]; integers: kind (0 mean, 1 first, 2 last).
KERNEL(pool) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &offsets = step.arrays[1], &y = step.arrays[2];
  const int64_t width = y.last(), rows = x.rows();
  share(step, y.rows(), 1, [&](int64_t first, int64_t last) {
    for (int64_t s = first; s < last; ++s) {
      const int64_t from = offsets.i()[s], to = offsets.i()[s + 1];
      if (from < 0 || to <= from || to > rows) return raise(step, kIdOutOfRange);
      float* out = y.f() + s * width;
      if (step.integers[0] != 0) {
        memcpy(out, x.f() + (step.integers[0] == 1 ? from : to - 1) * width, size_t(width) * 4);
        continue;
      }
      for (int64_t c = 0; c < width; ++c) {
        float total = 0;
        for (int64_t r = from; r < to; ++r) total += x.f()[r * width + c];
        out[c] = total / float(to - from);
      }
    }
  });
}

// cross_entropy: -log softmax(x)[target], 0 for negative targets. arrays: logits [rows, V], targets [rows], y [rows, 1].
KERNEL(cross_entropy) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &targets = step.arrays[1], &y = step.arrays[2];
  const int64_t width = x.last();
  share(step, x.rows(), 1, [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const int64_t target = targets.i()[r];
      if (target >= width) return raise(step, kIdOutOfRange, target);
      if (target < 0) {
        y.f()[r] = 0;
        continue;
      }
      const float* row = x.f() + r * width;
      F32 peaks = splat(-__builtin_inff()), sums = splat(0);
      each(row, width, -__builtin_inff(), [&](F32 v, int64_t, int) { peaks = max(v, peaks); });
      const F32 peak = splat(max(peaks));
      each(row, width, -__builtin_inff(), [&](F32 v, int64_t, int) { sums += exp(v - peak); });
      y.f()[r] = log(splat(sum(sums)))[0] + peak[0] - row[target];
    }
  });
}
