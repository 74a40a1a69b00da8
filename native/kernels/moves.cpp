// Moving numbers: slices, joins, transposes, spreading, scattering. Any rank up to 4; the last dimension moves in runs.
#include "kernel.h"
#include "spread.h"

namespace frugal::FRUGAL_ISA {

// Product of the dims before and behind an axis.
static inline int64_t outer(const Array& x, int axis) {
  int64_t n = 1;
  for (int d = 0; d < axis; ++d) n *= x.dim[d];
  return n;
}
static inline int64_t inner(const Array& x, int axis) {
  int64_t n = 1;
  for (int d = axis + 1; d < x.rank; ++d) n *= x.dim[d];
  return n;
}

}  // namespace frugal::FRUGAL_ISA

// arrays: x, y; integers: axis, start.
KERNEL(slice) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &y = step.arrays[1];
  const int axis = step.integers[0];
  const int64_t run = y.dim[axis] * inner(y, axis), stride = x.dim[axis] * inner(x, axis), start = step.integers[1] * inner(x, axis);
  share(step, outer(y, axis), row_grain(run), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) memcpy(y.f() + i * run, x.f() + i * stride + start, size_t(run) * 4);
  });
}

// arrays: inputs..., y; integers: axis.
KERNEL(concat) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array& y = step.arrays[step.array_count - 1];
  const int axis = step.integers[0];
  const int64_t stride = y.dim[axis] * inner(y, axis);
  share(step, outer(y, axis), row_grain(stride), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      float* to = y.f() + i * stride;
      for (int a = 0; a + 1 < step.array_count; ++a) {
        const int64_t run = step.arrays[a].dim[axis] * inner(step.arrays[a], axis);
        memcpy(to, step.arrays[a].f() + i * run, size_t(run) * 4);
        to += run;
      }
    }
  });
}

// The last two axes change places. arrays: x [..., a, b], y [..., b, a].
KERNEL(transpose) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &y = step.arrays[1];
  const int64_t rows = y.dim[y.rank - 2], columns = y.last();
  share(step, y.rows(), row_grain(columns), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const float* from = x.f() + r / rows * rows * columns + r % rows;
      for (int64_t c = 0; c < columns; ++c) y.f()[r * columns + c] = from[c * rows];
    }
  });
}

// arrays: x, y: dims of x are y's or 1, aligned at the right.
KERNEL(broadcast) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &y = step.arrays[1];
  const int64_t width = y.last();
  share(step, y.rows(), row_grain(width), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const int64_t offset = spread_row(y, x, r);
      if (x.last() == width) memcpy(y.f() + r * width, x.f() + offset, size_t(width) * 4);
      else
        for (int64_t i = 0; i < width; ++i) y.f()[r * width + i] = x.f()[offset];
    }
  });
}

// A plain copy where a program cannot alias. arrays: x, y.
KERNEL(copy) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &y = step.arrays[1];
  share(step, y.size(), 65536, [&](int64_t first, int64_t last) { memcpy(y.f() + first, x.f() + first, size_t(last - first) * 4); });
}

// scatter_add: y[ids[r]] += x[r], rows in order. arrays: x [rows, channels], ids [rows], y. Threads share the channels, so the order stays.
KERNEL(scatter_add) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &ids = step.arrays[1], &y = step.arrays[2];
  const int64_t width = y.last(), known = y.rows();
  share(step, width, 64, [&](int64_t first, int64_t last) {
    for (int64_t r = 0; r < known; ++r) memset(y.f() + r * width + first, 0, size_t(last - first) * 4);
    for (int64_t r = 0; r < ids.size(); ++r) {
      const int64_t id = ids.i()[r];
      if (id < 0 || id >= known) return raise(step, kIdOutOfRange, id);
      for (int64_t c = first; c < last; ++c) y.f()[id * width + c] += x.f()[r * width + c];
    }
  });
}
