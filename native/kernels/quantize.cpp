// quantize: rows of F32 to 8-bit codes, scale = max |x| / 127 over 32 inputs. A row's result depends on that row alone.
// arrays: x [rows, inputs], activations (bytes).
#include "activations.h"
#include "kernel.h"

namespace frugal::FRUGAL_ISA {

static inline float peak_of_32(const float* x) {
  F32 peaks = splat(0);
  for (int i = 0; i < 32; i += kLanes) {
    const F32 v = load(x + i);
    peaks = max(peaks, max(v, -v));
  }
  return max(peaks);
}

static inline void quantize_row(const float* x, const Activations& a, int64_t row) {
  int8_t* codes = a.codes + row * a.inputs;
  for (int64_t b = 0; b < a.blocks; ++b, x += 32, codes += 32) {
    const float largest = peak_of_32(x), scale = largest / 127.0f, inverse = largest > 0 ? 127.0f / largest : 0.0f;
    int32_t sums[2];
    for (int half = 0; half < 2; ++half) {
      I32 total = splat_i(0);
      for (int i = 16 * half; i < 16 * half + 16; i += kLanes) {
        const I32 q = __builtin_convertvector(round(load(x + i) * splat(inverse)), I32);
        store_s8(codes + i, q);
        total += q;
      }
      sums[half] = sum(total);
    }
    const int64_t at = row * a.blocks + b;
    a.scale[at] = scale;
    a.sum32[at] = scale * float(sums[0] + sums[1]);
    a.minus32[at] = -(sums[0] + sums[1]);
    for (int s = 0; s < 2; ++s) {
      a.sum16[2 * at + s] = scale * float(sums[s]);
      a.minus16[2 * at + s] = -sums[s];
    }
  }
}

}  // namespace frugal::FRUGAL_ISA

KERNEL(quantize) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array& x = step.arrays[0];
  const Activations a(step.arrays[1].data, x.rows(), x.last());
  share(step, x.rows(), row_grain(8 * x.last()), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) quantize_row(x.f() + r * x.last(), a, r);
  });
}
