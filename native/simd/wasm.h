// WebAssembly SIMD: 4 lanes. Relaxed SIMD, where the engine has it, adds one-rounding `fma` and products of bytes; both are compiled.
#pragma once
#include <wasm_simd128.h>

namespace frugal::FRUGAL_ISA {

constexpr int kLanes = 4, kRegisters = 16;
constexpr bool kBiasedBytes = false;
typedef float F32 __attribute__((vector_size(16)));
typedef int32_t I32 __attribute__((vector_size(16)));
typedef int16_t I16 __attribute__((vector_size(16)));
typedef uint8_t Bytes __attribute__((vector_size(16)));
typedef int8_t SignedBytes __attribute__((vector_size(16)));
typedef uint16_t Words16 __attribute__((vector_size(16)));
typedef uint32_t U32 __attribute__((vector_size(16)));

static inline F32 sqrt(F32 a) { return __builtin_wasm_sqrt_f32x4(a); }
static inline F32 round(F32 a) { return __builtin_wasm_nearest_f32x4(a); }
// Lanes i and i ^ n change places.
template <int n> static inline F32 swapped(F32 v) { return __builtin_shufflevector(v, v, 0 ^ n, 1 ^ n, 2 ^ n, 3 ^ n); }

// By exponent arithmetic: 2^112 makes a normal number, and a tiny one, of the bits moved into place; infinity and NaN stay.
static inline F32 load_half(const uint16_t* p) {
  const U32 h = (U32)wasm_u32x4_load16x4(p);
  const U32 magnitude = h & 0x7fff;
  const F32 scaled = (F32)(magnitude << 13) * (F32{} + 0x1p112f);
  return (F32)((U32)scaled | (h & 0x8000) << 16 | ((U32)(scaled > 65504.0f) & 0x7f800000));
}
// To nearest even; as float_to_half of portable.h, lane by lane.
static inline void store_half(uint16_t* p, F32 v) {
  typedef uint16_t Four __attribute__((vector_size(8)));
  const U32 bits = (U32)v, sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  const U32 normal = (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13;
  const U32 tiny = (U32)((F32)magnitude + (F32{} + 0.5f)) - 0x3f000000;
  const U32 tinies = (U32)(magnitude < 0x38800000), large = (U32)(magnitude >= 0x477ff000), nan = (U32)(magnitude > 0x7f800000);
  U32 half = (tiny & tinies) | (normal & ~tinies);
  half = (half & ~large) | (large & 0x7c00);
  half = (half & ~nan) | (nan & 0x7e00);
  const Four narrow = __builtin_convertvector(half | sign, Four);
  memcpy(p, &narrow, sizeof narrow);
}
static inline F32 load_bfloat(const uint16_t* p) { return (F32)((U32)wasm_u32x4_load16x4(p) << 16); }
// By two steps of widening; of one the compiler makes shuffles of bytes.
static inline I32 load_u8(const uint8_t* p) {
  return (I32)wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(p)));
}
static inline I32 load_s8(const int8_t* p) {
  return (I32)wasm_i32x4_extend_low_i16x8(wasm_i16x8_extend_low_i8x16(wasm_v128_load32_zero(p)));
}
static inline Bytes splat_byte(uint8_t v) { return Bytes{} + v; }
template <int n> static inline Bytes shift_right(Bytes v) { return (Bytes)((Words16)v >> n); }
template <int n> static inline Bytes shift_left(Bytes v) { return (Bytes)((Words16)v << n); }
static inline Bytes signed_bytes(Bytes v) { return v; }
// The 4 bytes at p in every lane.
static inline SignedBytes broadcast4(const int8_t* p) {
  int32_t four;
  memcpy(&four, p, 4);
  return (SignedBytes)(I32{} + four);
}
static inline I16 low_half(SignedBytes v) {
  typedef int8_t Eight __attribute__((vector_size(8)));
  const Eight low = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7);
  return __builtin_convertvector(low, I16);
}
static inline I16 high_half(SignedBytes v) {
  typedef int8_t Eight __attribute__((vector_size(8)));
  const Eight high = __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  return __builtin_convertvector(high, I16);
}
// init + a[2i] * b[2i] + a[2i + 1] * b[2i + 1].
static inline I32 dot2(I16 a, I16 b, I32 init) { return init + (I32)__builtin_wasm_dot_s_i32x4_i16x8(a, b); }
// a * b / 2^15, to nearest.
static inline I16 multiply_high(I16 a, I16 b) { return __builtin_wasm_q15mulr_sat_s_i16x8(a, b); }
static inline void prefetch(const void*) {}

#if defined(__wasm_relaxed_simd__)

static inline F32 fma(F32 a, F32 b, F32 c) { return __builtin_wasm_relaxed_madd_f32x4(a, b, c); }
static inline Bytes lookup(const int8_t* table, Bytes v) {
  SignedBytes t;
  memcpy(&t, table, sizeof t);
  return (Bytes)__builtin_wasm_relaxed_swizzle_i8x16(t, (SignedBytes)v);
}
// Sums of neighbouring products in 16 bits. The weight is the operand that must not be negative: engines read that one as they like.
static inline I16 pairs(SignedBytes activations, Bytes weights) {
  return __builtin_wasm_relaxed_dot_i8x16_i7x16_s_i16x8(activations, (SignedBytes)weights);
}
static inline I32 widen_pairs(I16 v) { return __builtin_wasm_extadd_pairwise_i16x8_s_i32x4(v); }
// sum + the dot product of 4 neighbouring bytes, unsigned below 128 times signed.
static inline I32 dot4(Bytes u, Bytes s, I32 sum) { return sum + widen_pairs(pairs((SignedBytes)s, u)); }

// As in avx2.h: |pair sum| <= 2 * (2^bits - 1) * 127 stays below 2^15 over the products added before widening.
template <int bits, int n> static inline I32 dot(const Bytes* q, const int8_t* a, I32 init) {
  I32 sum = init;
  if constexpr (bits == 8) {
#pragma GCC unroll 8
    for (int j = 0; j < n; ++j) {
      SignedBytes zero = {};
      asm("" : "+r"(zero));  // else the compiler shifts by 7, which engines do in five instructions
      const SignedBytes w = (SignedBytes)q[j], negative = w < zero, x = broadcast4(a + 4 * j);
      sum += widen_pairs(pairs((x ^ negative) - negative, (Bytes)__builtin_elementwise_abs(w)));
    }
  } else {
    constexpr int room = bits <= 4 ? 8 : bits == 5 ? 4 : 2, step = room < n ? room : n;
#pragma GCC unroll 8
    for (int j = 0; j < n; j += step) {
      I16 part = pairs(broadcast4(a + 4 * j), q[j]);
#pragma GCC unroll 8
      for (int i = 1; i < step; ++i) part += pairs(broadcast4(a + 4 * (j + i)), q[j + i]);
      sum += widen_pairs(part);
    }
  }
  return sum;
}

#else

static inline F32 fma(F32 a, F32 b, F32 c) { return a * b + c; }
static inline Bytes lookup(const int8_t* table, Bytes v) {
  SignedBytes t;
  memcpy(&t, table, sizeof t);
  return (Bytes)__builtin_wasm_swizzle_i8x16(t, (SignedBytes)v);
}
// Lanes of 4 bytes from two vectors, whose neighbouring lanes are halves of one.
static inline I32 add_halves(I32 low, I32 high) {
  return (I32)__builtin_shufflevector(low, high, 0, 2, 4, 6) + (I32)__builtin_shufflevector(low, high, 1, 3, 5, 7);
}
// sum + the dot product of 4 neighbouring bytes, unsigned below 128 times signed.
static inline I32 dot4(Bytes u, Bytes s, I32 sum) {
  const SignedBytes w = (SignedBytes)u, a = (SignedBytes)s;
  const I32 low = dot2(low_half(w), low_half(a), I32{}), high = dot2(high_half(w), high_half(a), I32{});
  return sum + add_halves(low, high);
}
template <int bits, int n> static inline I32 dot(const Bytes* q, const int8_t* a, I32 init) {
  I32 low = {}, high = {};
#pragma GCC unroll 8
  for (int j = 0; j < n; ++j) {
    const I16 x = low_half(broadcast4(a + 4 * j));
    low = dot2(low_half((SignedBytes)q[j]), x, low);
    high = dot2(high_half((SignedBytes)q[j]), x, high);
  }
  return init + add_halves(low, high);
}

#endif

}  // namespace frugal::FRUGAL_ISA
