// The whole vector vocabulary. Kernels use these names and no intrinsics; one small file an instruction set.
//   F32, I32      kLanes floats or 32-bit integers          Bytes   4 * kLanes bytes, 4 neighbouring ones to a lane
//   I16           2 * kLanes 16-bit integers, 2 neighbouring ones to a lane
// Every function is the same arithmetic in every instruction set, except that only those with FMA round once in `fma`.
#pragma once
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__) && defined(__AVX512VNNI__)
#include "avx512.h"
#elif defined(__AVX2__) && defined(__FMA__)
#include "avx2.h"
#elif defined(__wasm_simd128__)
#include "wasm.h"
#elif defined(__aarch64__)
#include "neon.h"
#else
#include "portable.h"
#endif

namespace frugal::FRUGAL_ISA {

// Keeps the compiler from mixing the work before with the work behind: mixed columns of a tile spill (2x on the 8-bit product).
#if defined(__x86_64__)
template <class V> static inline void in_order(V& v) { asm volatile("" : "+v"(v) : : "memory"); }
#elif defined(__aarch64__)
template <class V> static inline void in_order(V& v) { asm volatile("" : "+w"(v) : : "memory"); }
#else
template <class V> static inline void in_order(V&) {}
#endif

static inline F32 splat(float v) { return v - F32{}; }
static inline I32 splat_i(int32_t v) { return I32{} + v; }
static inline F32 load(const float* p) {
  F32 v;
  memcpy(&v, p, sizeof v);
  return v;
}
static inline void store(float* p, F32 v) { memcpy(p, &v, sizeof v); }
static inline F32 load_first(const float* p, int n, float fill) {
  F32 v = splat(fill);
  memcpy(&v, p, n * 4);
  return v;
}
static inline void store_first(float* p, int n, F32 v) { memcpy(p, &v, n * 4); }
static inline Bytes load_bytes(const void* p) {
  Bytes v;
  memcpy(&v, p, sizeof v);
  return v;
}
static inline I32 load_i(const int32_t* p) {
  I32 v;
  memcpy(&v, p, sizeof v);
  return v;
}
#if defined(__wasm_simd128__)
static inline F32 max(F32 a, F32 b) { return __builtin_wasm_pmax_f32x4(b, a); }
static inline F32 min(F32 a, F32 b) { return __builtin_wasm_pmin_f32x4(b, a); }
#else
static inline F32 max(F32 a, F32 b) { return a > b ? a : b; }
static inline F32 min(F32 a, F32 b) { return a < b ? a : b; }
#endif
// Towards zero, for numbers that 32 bits hold; anything is given for others.
static inline I32 to_integer(F32 v) {
#if defined(__wasm_relaxed_simd__)
  return __builtin_wasm_relaxed_trunc_s_i32x4_f32x4(v);
#else
  return __builtin_convertvector(v, I32);
#endif
}
static inline F32 to_float(I32 v) { return __builtin_convertvector(v, F32); }
static inline I32 bits_of(F32 v) {
  I32 r;
  memcpy(&r, &v, sizeof r);
  return r;
}
static inline F32 from_bits(I32 v) {
  F32 r;
  memcpy(&r, &v, sizeof r);
  return r;
}

// Sums and maxima of all lanes, by halves: a fixed tree for each instruction set.
template <class F> static inline F32 by_halves(F32 v, F combine) {
  if constexpr (kLanes == 16) v = combine(v, swapped<8>(v));
  if constexpr (kLanes >= 8) v = combine(v, swapped<4>(v));
  v = combine(v, swapped<2>(v));
  return combine(v, swapped<1>(v));
}
static inline float sum(F32 v) {
  return by_halves(v, [](F32 a, F32 b) { return a + b; })[0];
}
static inline float max(F32 v) {
  return by_halves(v, [](F32 a, F32 b) { return max(a, b); })[0];
}
static inline int32_t sum(I32 v) {
  return bits_of(by_halves(from_bits(v), [](F32 a, F32 b) { return from_bits(bits_of(a) + bits_of(b)); }))[0];
}
static inline int32_t max(I32 v) {
  return bits_of(by_halves(from_bits(v), [](F32 a, F32 b) { return from_bits(bits_of(a) > bits_of(b) ? bits_of(a) : bits_of(b)); }))[0];
}
// The low byte of each lane.
static inline void store_s8(int8_t* p, I32 v) {
  typedef int8_t Narrow __attribute__((vector_size(kLanes)));
  const Narrow n = __builtin_convertvector(v, Narrow);
  memcpy(p, &n, sizeof n);
}

// 16-bit integers: two neighbouring ones to a lane.
static inline I16 load_words(const int16_t* p) {
  I16 v;
  memcpy(&v, p, sizeof v);
  return v;
}
static inline void store_words(int16_t* p, I16 v) { memcpy(p, &v, sizeof v); }
// The pair at p in every lane.
static inline I16 splat_pair(const int16_t* p) {
  int32_t pair;
  memcpy(&pair, p, 4);
  return (I16)splat_i(pair);
}
static inline I16 widen(const int8_t* p) {
  typedef int8_t Narrow __attribute__((vector_size(2 * kLanes)));
  Narrow v;
  memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, I16);
}
// The low half of each lane.
static inline void store_s16(int16_t* p, I32 v) {
  typedef int16_t Narrow __attribute__((vector_size(2 * kLanes)));
  const Narrow n = __builtin_convertvector(v, Narrow);
  memcpy(p, &n, sizeof n);
}

// Calls f(vector, index, count) over p[0..n): full vectors, then one short one filled with `fill`.
template <class F> static inline void each(const float* p, int64_t n, float fill, F f) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) f(load(p + i), i, kLanes);
  if (i < n) f(load_first(p + i, int(n - i), fill), i, int(n - i));
}

}  // namespace frugal::FRUGAL_ISA

#include "math.h"
