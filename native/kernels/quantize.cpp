// quantize: rows of F32 to 8-bit codes, scale = max |x| / 127 over 32 inputs. A row's result depends on that row alone.
// arrays: x [rows, inputs], activations (bytes).
#include "activations.h"
#include "kernel.h"

namespace frugal::FRUGAL_ISA {

// The largest magnitude; as bits infinity is larger than every number, and NaN larger still.
static inline float peak_of_32(const float* x) {
  I32 peaks = splat_i(0);
  for (int i = 0; i < 32; i += kLanes) {
    const I32 v = bits_of(load(x + i)) & 0x7fffffff;
    peaks = v > peaks ? v : peaks;
  }
  return from_bits(splat_i(max(peaks)))[0];
}

static inline void quantize_row(const float* x, const Activations& a, int64_t row) {
  int8_t* codes = a.codes + row * a.inputs;
  for (int64_t b = 0; b < a.blocks; ++b, x += 32, codes += 32) {
    const float largest = peak_of_32(x);
    float scale = largest / 127.0f;
    int32_t sums[2] = {0, 0};
    // Numbers too small to scale are zeros. With a number that is not finite the scale isn't either, and so is every product.
    const bool scales = largest > 1e-36f && largest <= 3.4e38f;
    if (!scales) {
      memset(codes, 0, 32);
      if (largest <= 1e-36f) scale = 0;
    }
    const float inverse = 127.0f / largest;
    for (int half = 0; scales && half < 2; ++half) {
      I32 total = splat_i(0);
      for (int i = 16 * half; i < 16 * half + 16; i += kLanes) {
        const I32 q = to_integer(round(load(x + i) * splat(inverse)));
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
