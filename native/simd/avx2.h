// AVX2 with FMA and F16C: 8 lanes; byte products are summed in 16 bits as far as the weight's bits leave room.
#pragma once
#include <immintrin.h>

namespace frugal::FRUGAL_ISA {

constexpr int kLanes = 8, kRegisters = 16;
constexpr bool kBiasedBytes = false;
typedef float F32 __attribute__((vector_size(32)));
typedef int32_t I32 __attribute__((vector_size(32)));
typedef int16_t I16 __attribute__((vector_size(32)));
typedef uint8_t Bytes __attribute__((vector_size(32)));

static inline F32 fma(F32 a, F32 b, F32 c) { return (F32)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
static inline F32 sqrt(F32 a) { return (F32)_mm256_sqrt_ps((__m256)a); }
static inline F32 round(F32 a) { return (F32)_mm256_round_ps((__m256)a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// Lanes i and i ^ n change places.
template <int n> static inline F32 swapped(F32 v) {
  if constexpr (n == 4) return (F32)_mm256_permute2f128_ps((__m256)v, (__m256)v, 1);
  else return (F32)_mm256_permute_ps((__m256)v, n == 2 ? 0x4e : 0xb1);
}
static inline F32 load_half(const uint16_t* p) { return (F32)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)); }
static inline void store_half(uint16_t* p, F32 v) { _mm_storeu_si128((__m128i*)p, _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT)); }
static inline F32 load_bfloat(const uint16_t* p) {
  return (F32)_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p)), 16));
}
static inline I32 load_u8(const uint8_t* p) { return (I32)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p)); }
static inline I32 load_s8(const int8_t* p) { return (I32)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)p)); }
static inline Bytes splat_byte(uint8_t v) { return (Bytes)_mm256_set1_epi8((char)v); }
template <int n> static inline Bytes shift_right(Bytes v) { return (Bytes)_mm256_srli_epi16((__m256i)v, n); }
template <int n> static inline Bytes shift_left(Bytes v) { return (Bytes)_mm256_slli_epi16((__m256i)v, n); }
static inline Bytes lookup(const int8_t* table, Bytes v) {
  return (Bytes)_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i*)table)), (__m256i)v);
}
static inline Bytes signed_bytes(Bytes v) { return v; }
// sum + the dot product of 4 neighbouring bytes, unsigned below 128 times signed.
static inline I32 dot4(Bytes u, Bytes s, I32 sum) {
  return (I32)_mm256_add_epi32((__m256i)sum, _mm256_madd_epi16(_mm256_maddubs_epi16((__m256i)u, (__m256i)s), _mm256_set1_epi16(1)));
}

static inline __m256i broadcast4(const int8_t* a) {
  int32_t y;
  memcpy(&y, a, 4);
  return _mm256_set1_epi32(y);
}

// |pair sum| <= 2 * (2^bits - 1) * 127 must stay below 2^15 over the products added before widening: 8 of 4 bits, 4 of 5, 2 of 6.
// Signed bytes (bits == 8): |q| times a with the sign of q.
template <int bits, int n> static inline I32 dot(const Bytes* q, const int8_t* a, I32 init) {
  const __m256i one = _mm256_set1_epi16(1);
  __m256i s = (__m256i)init;
  if constexpr (bits == 8) {
    __m256i t = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (int j = 0; j < n; j += 2) {
      const __m256i q0 = (__m256i)q[j], q1 = (__m256i)q[j + 1];
      s = _mm256_add_epi32(s,
                           _mm256_madd_epi16(one, _mm256_maddubs_epi16(_mm256_abs_epi8(q0), _mm256_sign_epi8(broadcast4(a + 4 * j), q0))));
      t = _mm256_add_epi32(
          t, _mm256_madd_epi16(one, _mm256_maddubs_epi16(_mm256_abs_epi8(q1), _mm256_sign_epi8(broadcast4(a + 4 * j + 4), q1))));
    }
    return (I32)_mm256_add_epi32(s, t);
  } else {
    constexpr int room = bits <= 4 ? 8 : bits == 5 ? 4 : 2, step = room < n ? room : n;
#pragma GCC unroll 8
    for (int j = 0; j < n; j += step) {
      __m256i pairs = _mm256_maddubs_epi16((__m256i)q[j], broadcast4(a + 4 * j));
#pragma GCC unroll 8
      for (int i = 1; i < step; ++i) pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16((__m256i)q[j + i], broadcast4(a + 4 * (j + i))));
      s = _mm256_add_epi32(s, _mm256_madd_epi16(one, pairs));
    }
    return (I32)s;
  }
}
// init + a[2i] * b[2i] + a[2i + 1] * b[2i + 1].
static inline I32 dot2(I16 a, I16 b, I32 init) { return init + (I32)_mm256_madd_epi16((__m256i)a, (__m256i)b); }
// a * b / 2^15, to nearest.
static inline I16 multiply_high(I16 a, I16 b) { return (I16)_mm256_mulhrs_epi16((__m256i)a, (__m256i)b); }
static inline void prefetch(const void* p) { _mm_prefetch((const char*)p, _MM_HINT_T1); }

}  // namespace frugal::FRUGAL_ISA
