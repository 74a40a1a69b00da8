// Rows kept as 16-bit floats, two to a word. Ops: src/ops/half-stored.ts.
#include "kernel.h"

namespace frugal::FRUGAL_ISA {

enum HalfKind : int { kBfloat = 0, kHalf = 1 };

static inline void store_bfloats(uint16_t* to, F32 v) {
  I32 bits = bits_of(v);
  const I32 rounded = bits + splat_i(0x7fff) + ((bits >> 16) & splat_i(1));
  // A NaN keeps its sign and stays one.
  const I32 upper = v == v ? rounded : bits | splat_i(0x400000);
  typedef int16_t Narrow __attribute__((vector_size(2 * kLanes)));
  const Narrow n = __builtin_convertvector((upper >> 16) & splat_i(0xffff), Narrow);
  memcpy(to, &n, sizeof n);
}

}  // namespace frugal::FRUGAL_ISA

// arrays: x [rows, channels], y words [rows, (channels + 1) / 2]; integers: kind.
KERNEL(store_half) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &y = step.arrays[1];
  const int64_t width = x.last(), words = y.last();
  const auto put = step.integers[0] == kBfloat ? store_bfloats : store_half;
  share(step, x.rows(), row_grain(width), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      uint16_t* to = reinterpret_cast<uint16_t*>(y.i() + r * words);
      if (width % 2 != 0) to[width] = 0;
      each(x.f() + r * width, width, 0, [&](F32 v, int64_t i, int n) {
        if (n == kLanes) return put(to + i, v);
        uint16_t some[kLanes];
        put(some, v);
        memcpy(to + i, some, size_t(n) * 2);
      });
    }
  });
}

// arrays: x words [rows, (channels + 1) / 2], y [rows, channels]; integers: kind.
KERNEL(load_half) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &y = step.arrays[1];
  const int64_t width = y.last(), words = x.last();
  const bool is_bfloat = step.integers[0] == kBfloat;
  share(step, y.rows(), row_grain(width), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const uint16_t* from = reinterpret_cast<const uint16_t*>(x.i() + r * words);
      float* to = y.f() + r * width;
      int64_t i = 0;
      for (; i + kLanes <= width; i += kLanes) store(to + i, is_bfloat ? load_bfloat(from + i) : load_half(from + i));
      if (i == width) continue;
      uint16_t some[kLanes] = {};
      memcpy(some, from + i, size_t(width - i) * 2);
      store_first(to + i, int(width - i), is_bfloat ? load_bfloat(some) : load_half(some));
    }
  });
}
