// noise: Philox 4x32-10 (Salmon et al. 2011), a vector of counters at a time, as numbers. Op: src/ops/noise.ts.
#include "kernel.h"

namespace frugal::FRUGAL_ISA {

typedef uint32_t U32 __attribute__((vector_size(4 * kLanes)));
typedef uint64_t U64 __attribute__((vector_size(4 * kLanes)));

// Both halves of the 64-bit products of all lanes with a number.
static inline void multiply_wide(U32 x, uint32_t by, U32* high, U32* low) {
  const U64 pairs = (U64)x, lower = U64{} + 0xffffffffu;
  const U64 even = (pairs & lower) * by, odd = (pairs >> 32) * by;
  *high = (U32)((even >> 32) | (odd & ~lower));
  *low = (U32)((even & lower) | (odd << 32));
}

struct Words {
  U32 a, b, c, d;
};
static inline Words philox(U32 counter, uint32_t stream, uint32_t key_a, uint32_t key_b) {
  Words w{counter, U32{}, U32{} + stream, U32{}};
  for (int round = 0; round < 10; ++round) {
    U32 high_a, low_a, high_c, low_c;
    multiply_wide(w.a, 0xd2511f53u, &high_a, &low_a);
    multiply_wide(w.c, 0xcd9e8d57u, &high_c, &low_c);
    w = {high_c ^ w.b ^ key_a, low_c, high_a ^ w.d ^ key_b, low_a};
    key_a += 0x9e3779b9u;
    key_b += 0xbb67ae85u;
  }
  return w;
}

static inline F32 uniform(U32 word) { return to_float((I32)(word >> 8)) * splat(0x1p-24f); }

// Two normals of two words (Box and Muller): sqrt(-2 ln u) (cos 2 pi v, sin 2 pi v). Quarter turns are taken off v before it is an angle,
// so that the phase keeps all its 24 bits.
static inline void normals(U32 first, U32 second, F32* cosine, F32* sine) {
  const F32 length = sqrt(splat(-2) * log(splat(1) - uniform(first))), quarters = uniform(second) * splat(4), whole = round(quarters);
  const F32 r = (quarters - whole) * splat(1.57079632679f), s = r * r;
  F32 sin_r = fma(s, splat(-1.9515295891e-4f), splat(8.3321608736e-3f));
  sin_r = fma(r * s, fma(s, sin_r, splat(-1.6666654611e-1f)), r);
  F32 cos_r = fma(s, splat(2.443315711809948e-5f), splat(-1.388731625493765e-3f));
  cos_r = fma(s * s, fma(s, cos_r, splat(4.166664568298827e-2f)), fma(splat(-0.5f), s, splat(1)));
  const I32 q = to_integer(whole) & 3;
  const F32 by_cosine = (q & 1) == 0 ? cos_r : sin_r, by_sine = (q & 1) == 0 ? sin_r : cos_r;
  *cosine = length * (((q + 1) & 2) == 0 ? by_cosine : -by_cosine);
  *sine = length * ((q & 2) == 0 ? by_sine : -by_sine);
}

}  // namespace frugal::FRUGAL_ISA

// Counter i gives elements 4i to 4i + 3. arrays: seed [2] ids, y; integers: whether they are normal, stream.
KERNEL(noise) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &seed = step.arrays[0], &y = step.arrays[1];
  const uint32_t key_a = uint32_t(seed.i()[0]), key_b = uint32_t(seed.i()[1]), stream = uint32_t(step.integers[1]);
  const int64_t size = y.size(), counters = (size + 3) / 4;
  U32 lanes;
  for (int i = 0; i < kLanes; ++i) lanes[i] = uint32_t(i);
  share(step, counters, 1024, [&](int64_t first, int64_t last) {
    for (int64_t at = first; at < last; at += kLanes) {
      const Words w = philox(lanes + uint32_t(at), stream, key_a, key_b);
      F32 four[4] = {uniform(w.a), uniform(w.b), uniform(w.c), uniform(w.d)};
      if (step.integers[0] != 0) normals(w.a, w.b, &four[0], &four[1]), normals(w.c, w.d, &four[2], &four[3]);
      alignas(64) float numbers[4 * kLanes];
      for (int i = 0; i < kLanes; ++i)
        for (int j = 0; j < 4; ++j) numbers[4 * i + j] = four[j][i];
      const int64_t end = 4 * last < size ? 4 * last : size, n = end - 4 * at;
      memcpy(y.f() + 4 * at, numbers, size_t(n < 4 * kLanes ? n : 4 * kLanes) * 4);
    }
  });
}
