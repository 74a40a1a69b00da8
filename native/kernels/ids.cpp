// Numbers made from ids and offsets, as training needs them. Ops: src/ops/to-float.ts, one-hot.ts, row-sequences.ts.
#include "kernel.h"

// arrays: x ids, y.
KERNEL(to_float) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &y = step.arrays[1];
  share(step, y.size(), 16384, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) y.f()[i] = float(x.i()[i]);
  });
}

// arrays: ids [rows], y [rows, count].
KERNEL(one_hot) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &ids = step.arrays[0], &y = step.arrays[1];
  const int64_t width = y.last();
  share(step, ids.size(), row_grain(width), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const int64_t id = ids.i()[r];
      if (id >= width) return raise(step, kIdOutOfRange, id);
      memset(y.f() + r * width, 0, size_t(width) * 4);
      if (id >= 0) y.f()[r * width + id] = 1;
    }
  });
}

// arrays: rowOffsets [S+1], y ids [rows].
KERNEL(row_sequences) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &offsets = step.arrays[0], &y = step.arrays[1];
  share(step, 1, 1, [&](int64_t, int64_t) {
    int64_t row = 0;
    for (int64_t s = 0; s + 1 < offsets.size(); ++s) {
      const int64_t end = offsets.i()[s + 1];
      if (end < row || end > y.size()) return raise(step, kIdOutOfRange, end);
      for (; row < end; ++row) y.i()[row] = int32_t(s);
    }
    if (row != y.size()) raise(step, kIdOutOfRange, row);
  });
}
