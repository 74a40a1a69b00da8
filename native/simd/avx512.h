// AVX-512 (F, BW, DQ, VL, VNNI): 16 lanes; bytes are multiplied unsigned by signed in one instruction.
#pragma once
#include <immintrin.h>

namespace frugal::FRUGAL_ISA {

constexpr int kLanes = 16, kRegisters = 32;
// Signed bytes of a weight are kept as byte + 128; the dot product of the 128s is taken off through the activation's sums.
constexpr bool kBiasedBytes = true;
typedef float F32 __attribute__((vector_size(64)));
typedef int32_t I32 __attribute__((vector_size(64)));
typedef int16_t I16 __attribute__((vector_size(64)));
typedef uint8_t Bytes __attribute__((vector_size(64)));

static inline F32 fma(F32 a, F32 b, F32 c) { return (F32)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
static inline F32 sqrt(F32 a) { return (F32)_mm512_sqrt_ps((__m512)a); }
static inline F32 round(F32 a) { return (F32)_mm512_roundscale_ps((__m512)a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// Lanes i and i ^ n change places.
template <int n> static inline F32 swapped(F32 v) {
  if constexpr (n == 8) return (F32)_mm512_shuffle_f32x4((__m512)v, (__m512)v, 0x4e);
  else if constexpr (n == 4) return (F32)_mm512_shuffle_f32x4((__m512)v, (__m512)v, 0xb1);
  else return (F32)_mm512_permute_ps((__m512)v, n == 2 ? 0x4e : 0xb1);
}
static inline F32 load_half(const uint16_t* p) { return (F32)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p)); }
static inline void store_half(uint16_t* p, F32 v) {
  _mm256_storeu_si256((__m256i*)p, _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT));
}
static inline F32 load_bfloat(const uint16_t* p) {
  return (F32)_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)), 16));
}
static inline I32 load_u8(const uint8_t* p) { return (I32)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p)); }
static inline I32 load_s8(const int8_t* p) { return (I32)_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)p)); }
static inline Bytes splat_byte(uint8_t v) { return (Bytes)_mm512_set1_epi8((char)v); }
// Shifts move bits between neighbouring bytes; mask afterwards.
template <int n> static inline Bytes shift_right(Bytes v) { return (Bytes)_mm512_srli_epi16((__m512i)v, n); }
template <int n> static inline Bytes shift_left(Bytes v) { return (Bytes)_mm512_slli_epi16((__m512i)v, n); }
// table[v & 15] for each byte.
static inline Bytes lookup(const int8_t* table, Bytes v) {
  return (Bytes)_mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i*)table)), (__m512i)v);
}
static inline Bytes signed_bytes(Bytes v) { return (Bytes)((__m512i)v ^ _mm512_set1_epi8((char)0x80)); }
// sum + the dot product of 4 neighbouring bytes, unsigned below 128 times signed.
static inline I32 dot4(Bytes u, Bytes s, I32 sum) { return (I32)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)u, (__m512i)s); }

// init + the sum over n vectors of 4-byte dot products; lane i takes bytes 4i..4i+3 of q[j] and the 4 activations a[4j..4j+3].
template <int bits, int n> static inline I32 dot(const Bytes* q, const int8_t* a, I32 init) {
  __m512i s = (__m512i)init, t = _mm512_setzero_si512();
#pragma GCC unroll 8
  for (int j = 0; j < n; j += 2) {
    int32_t y0, y1;
    memcpy(&y0, a + 4 * j, 4);
    memcpy(&y1, a + 4 * j + 4, 4);
    s = _mm512_dpbusd_epi32(s, (__m512i)q[j], _mm512_set1_epi32(y0));
    t = _mm512_dpbusd_epi32(t, (__m512i)q[j + 1], _mm512_set1_epi32(y1));
  }
  return (I32)_mm512_add_epi32(s, t);
}
// init + a[2i] * b[2i] + a[2i + 1] * b[2i + 1].
static inline I32 dot2(I16 a, I16 b, I32 init) { return (I32)_mm512_dpwssd_epi32((__m512i)init, (__m512i)a, (__m512i)b); }
// a * b / 2^15, to nearest.
static inline I16 multiply_high(I16 a, I16 b) { return (I16)_mm512_mulhrs_epi16((__m512i)a, (__m512i)b); }
// The processors with AVX-512 follow a stream better alone: 33 GB/s without, 28 GB/s with prefetches (GEMV from memory, Zen 4).
static inline void prefetch(const void*) {}

}  // namespace frugal::FRUGAL_ISA
