// NEON: 4 lanes in 32 registers. Bytes are multiplied as signed ones, since codes that are not stay below 128: by SDOT where the processor
// has it, else in 16 bits as far as the weight's bits leave room. SMMLA multiplies two rows by two (kernels/pair-tile.h).
#pragma once
#include <arm_neon.h>

namespace frugal::FRUGAL_ISA {

constexpr int kLanes = 4, kRegisters = 32;
constexpr bool kBiasedBytes = false;
typedef float F32 __attribute__((vector_size(16)));
typedef int32_t I32 __attribute__((vector_size(16)));
typedef int16_t I16 __attribute__((vector_size(16)));
typedef uint8_t Bytes __attribute__((vector_size(16)));

static inline F32 fma(F32 a, F32 b, F32 c) { return (F32)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
static inline F32 sqrt(F32 a) { return (F32)vsqrtq_f32((float32x4_t)a); }
static inline F32 round(F32 a) { return (F32)vrndnq_f32((float32x4_t)a); }
// Lanes i and i ^ n change places.
template <int n> static inline F32 swapped(F32 v) {
  if constexpr (n == 2) return (F32)vextq_f32((float32x4_t)v, (float32x4_t)v, 2);
  else return (F32)vrev64q_f32((float32x4_t)v);
}
static inline F32 load_half(const uint16_t* p) { return (F32)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
static inline void store_half(uint16_t* p, F32 v) { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32((float32x4_t)v))); }
static inline F32 load_bfloat(const uint16_t* p) { return (F32)vshll_n_u16(vld1_u16(p), 16); }
static inline I32 load_u8(const uint8_t* p) {
  uint32_t bytes;
  memcpy(&bytes, p, 4);
  return (I32)vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(bytes))));
}
static inline I32 load_s8(const int8_t* p) {
  uint32_t bytes;
  memcpy(&bytes, p, 4);
  return (I32)vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(bytes))));
}
static inline Bytes splat_byte(uint8_t v) { return (Bytes)vdupq_n_u8(v); }
template <int n> static inline Bytes shift_right(Bytes v) { return v >> n; }
template <int n> static inline Bytes shift_left(Bytes v) { return v << n; }
// table[v], v < 16.
static inline Bytes lookup(const int8_t* table, Bytes v) { return (Bytes)vqtbl1q_s8(vld1q_s8(table), (uint8x16_t)v); }
static inline Bytes signed_bytes(Bytes v) { return v; }

#if defined(__ARM_FEATURE_DOTPROD)
// sum + the dot product of 4 neighbouring bytes, unsigned below 128 times signed.
static inline I32 dot4(Bytes u, Bytes s, I32 sum) { return (I32)vdotq_s32((int32x4_t)sum, (int8x16_t)u, (int8x16_t)s); }
// init + the sum over n vectors of 4-byte dot products; lane i takes bytes 4i..4i+3 of q[j] and the 4 activations a[4j..4j+3].
template <int, int n> static inline I32 dot(const Bytes* q, const int8_t* a, I32 init) {
  int32x4_t s = (int32x4_t)init;
#pragma GCC unroll 2
  for (int j = 0; j < n; j += 4) {
    const int8x16_t y = vld1q_s8(a + 4 * j);
    s = vdotq_laneq_s32(s, (int8x16_t)q[j], y, 0);
    s = vdotq_laneq_s32(s, (int8x16_t)q[j + 1], y, 1);
    s = vdotq_laneq_s32(s, (int8x16_t)q[j + 2], y, 2);
    s = vdotq_laneq_s32(s, (int8x16_t)q[j + 3], y, 3);
  }
  return (I32)s;
}
#else
static inline I32 dot4(Bytes u, Bytes s, I32 sum) {
  const int8x16_t a = (int8x16_t)u, b = (int8x16_t)s;
  return (I32)vpadalq_s16((int32x4_t)sum, vpaddq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)), vmull_high_s8(a, b)));
}
// The 4 bytes at a, over and over.
static inline int8x16_t splat_four(const int8_t* a) {
  int32_t y;
  memcpy(&y, a, 4);
  return vreinterpretq_s8_s32(vdupq_n_s32(y));
}
// The products of n vectors in 16 bits: of the first two rows, and of the last two.
struct Products {
  int16x8_t first, last;
};
template <int n> static inline Products multiply(const Bytes* q, const int8_t* a) {
  const int8x16_t w = (int8x16_t)q[0], y = splat_four(a);
  Products sums{vmull_s8(vget_low_s8(w), vget_low_s8(y)), vmull_high_s8(w, y)};
#pragma GCC unroll 8
  for (int j = 1; j < n; ++j) {
    const int8x16_t more = (int8x16_t)q[j], by = splat_four(a + 4 * j);
    sums.first = vmlal_s8(sums.first, vget_low_s8(more), vget_low_s8(by));
    sums.last = vmlal_high_s8(sums.last, more, by);
  }
  return sums;
}
// A sum must stay below 2^15: (2^bits - 1) * 127 each, or 128 * 127 of signed bytes.
template <int bits, int n> static inline I32 dot(const Bytes* q, const int8_t* a, I32 init) {
  constexpr int room = bits <= 5 ? 8 : bits == 6 ? 4 : 2, step = room < n ? room : n;
  if constexpr (bits <= 4) {
    const Products sums = multiply<n>(q, a);
    return (I32)vpadalq_s16((int32x4_t)init, vpaddq_s16(sums.first, sums.last));
  } else {
    int32x4_t first = vdupq_n_s32(0), last = first;
#pragma GCC unroll 4
    for (int j = 0; j < n; j += step) {
      const Products sums = multiply<step>(q + j, a + 4 * j);
      first = vpadalq_s16(first, sums.first);
      last = vpadalq_s16(last, sums.last);
    }
    return init + (I32)vpaddq_s32(first, last);
  }
}
#endif

#if defined(__ARM_FEATURE_MATMUL_INT8)
// What kernels/pairs.h needs. sum + the products of two rows of 8 bytes with two: lanes are row 0 by 0, 0 by 1, 1 by 0, 1 by 1.
#define FRUGAL_PAIRS 1
static inline I32 dot_pairs(Bytes a, Bytes b, I32 sum) { return (I32)vmmlaq_s32((int32x4_t)sum, (int8x16_t)a, (int8x16_t)b); }
static inline Bytes low_halves(Bytes a, Bytes b) { return (Bytes)vzip1q_s64((int64x2_t)a, (int64x2_t)b); }
static inline Bytes high_halves(Bytes a, Bytes b) { return (Bytes)vzip2q_s64((int64x2_t)a, (int64x2_t)b); }
// Lanes 0 and 1, or 2 and 3, of both, side by side.
static inline Bytes low_rows(Bytes a, Bytes b) { return (Bytes)vzip1q_s32((int32x4_t)a, (int32x4_t)b); }
static inline Bytes high_rows(Bytes a, Bytes b) { return (Bytes)vzip2q_s32((int32x4_t)a, (int32x4_t)b); }
#endif

// init + a[2i] * b[2i] + a[2i + 1] * b[2i + 1].
static inline I32 dot2(I16 a, I16 b, I32 init) {
  const int16x8_t x = (int16x8_t)a, y = (int16x8_t)b;
  return init + (I32)vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y));
}
// a * b / 2^15, to nearest.
static inline I16 multiply_high(I16 a, I16 b) { return (I16)vqrdmulhq_s16((int16x8_t)a, (int16x8_t)b); }
static inline void prefetch(const void* p) { __builtin_prefetch(p, 0, 2); }

}  // namespace frugal::FRUGAL_ISA
