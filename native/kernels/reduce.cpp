// Sums, maxima and choices over lines of numbers.
#include "kernel.h"

namespace frugal::FRUGAL_ISA {

// Calls f(first element, stride, count, index of the line) for every line of x along the axis.
template <class F> static inline void each_line(const Step& step, const Array& x, int axis, F f) {
  int64_t inner = 1, lines = 1;
  for (int d = axis + 1; d < x.rank; ++d) inner *= x.dim[d];
  for (int d = 0; d < x.rank; ++d) lines *= d == axis ? 1 : x.dim[d];  // of nothing, too
  const int64_t count = x.dim[axis];
  share(step, lines, row_grain(count), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) f(x.f() + r / inner * inner * count + r % inner, inner, count, r);
  });
}

}  // namespace frugal::FRUGAL_ISA

// arrays: x, y (the axis has size 1); integers: axis.
KERNEL(sum) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &y = step.arrays[1];
  int64_t inner = 1;
  for (int d = step.integers[0] + 1; d < x.rank; ++d) inner *= x.dim[d];
  if (inner == 1) {
    each_line(step, x, step.integers[0], [&](const float* from, int64_t, int64_t count, int64_t line) {
      F32 sums = splat(0);
      each(from, count, 0, [&](F32 v, int64_t, int) { sums += v; });
      y.f()[line] = sum(sums);
    });
    return;
  }
  // Lines lie side by side: a vector of them at a time, each in order.
  const int64_t count = x.dim[step.integers[0]], blocks = (inner + 63) / 64, outer = inner > 0 ? y.size() / inner : 0;
  share(step, outer * blocks, row_grain(64 * count), [&](int64_t first, int64_t last) {
    for (int64_t at = first; at < last; ++at) {
      const int64_t from = at % blocks * 64, n = inner - from < 64 ? inner - from : 64;
      const float* lines = x.f() + at / blocks * count * inner + from;
      float totals[64] = {};
      for (int64_t i = 0; i < count; ++i)
        each(lines + i * inner, n, 0,
             [&](F32 v, int64_t k, int some) { store_first(totals + k, some, load_first(totals + k, some, 0) + v); });
      memcpy(y.f() + at / blocks * inner + from, totals, size_t(n) * 4);
    }
  });
}

// dot, first part: the sums of products of pieces of 4096 numbers. arrays: x, other, y [pieces].
KERNEL(dot_parts) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &other = step.arrays[1], &y = step.arrays[2];
  const int64_t size = x.size();
  share(step, y.size(), 4, [&](int64_t first, int64_t last) {
    for (int64_t piece = first; piece < last; ++piece) {
      const int64_t from = piece * 4096, n = size - from < 4096 ? size - from : 4096;
      F32 sums = splat(0);
      each(x.f() + from, n > 0 ? n : 0, 0,
           [&](F32 v, int64_t i, int some) { sums = fma(v, load_first(other.f() + from + i, some, 0), sums); });
      y.f()[piece] = sum(sums);
    }
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
