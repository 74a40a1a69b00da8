// No instruction set in particular: 4 lanes of the compiler's vectors. What other processors run until they get a file of their own.
#pragma once

namespace frugal::FRUGAL_ISA {

constexpr int kLanes = 4, kRegisters = 16;
constexpr bool kBiasedBytes = false;
typedef float F32 __attribute__((vector_size(16)));
typedef int32_t I32 __attribute__((vector_size(16)));
typedef int16_t I16 __attribute__((vector_size(16)));
typedef uint8_t Bytes __attribute__((vector_size(16)));

static inline F32 fma(F32 a, F32 b, F32 c) { return a * b + c; }
static inline F32 sqrt(F32 a) {
  F32 r;
  for (int i = 0; i < kLanes; ++i) r[i] = __builtin_sqrtf(a[i]);
  return r;
}
static inline F32 round(F32 a) {  // to nearest even, for |a| < 2^22
  const F32 magic = F32{} + 12582912.0f;
  return (a + magic) - magic;
}
// Lanes i and i ^ n change places.
template <int n> static inline F32 swapped(F32 v) { return F32{v[0 ^ n], v[1 ^ n], v[2 ^ n], v[3 ^ n]}; }
static inline float half_to_float(uint16_t h) {
  const uint32_t sign = uint32_t(h & 0x8000) << 16, exponent = (h >> 10) & 31, mantissa = h & 1023;
  uint32_t bits;
  if (exponent == 31) bits = sign | 0x7f800000 | mantissa << 13;
  else if (exponent != 0) bits = sign | (exponent + 112) << 23 | mantissa << 13;
  else {
    const float v = float(mantissa) * 5.9604644775390625e-8f;
    memcpy(&bits, &v, 4);
    bits |= sign;
  }
  float f;
  memcpy(&f, &bits, 4);
  return f;
}
static inline uint16_t float_to_half(float f) {
  uint32_t bits;
  memcpy(&bits, &f, 4);
  const uint32_t sign = bits >> 16 & 0x8000;
  bits &= 0x7fffffff;
  if (bits > 0x7f800000) return uint16_t(sign | 0x7e00);
  if (bits >= 0x477ff000) return uint16_t(sign | 0x7c00);
  if (bits < 0x38800000) {
    float v;
    memcpy(&v, &bits, 4);
    v += 0.5f;
    uint32_t r;
    memcpy(&r, &v, 4);
    return uint16_t(sign | (r - 0x3f000000));
  }
  return uint16_t(sign | ((bits - 0x38000000 + 0xfff + (bits >> 13 & 1)) >> 13));
}
static inline F32 load_half(const uint16_t* p) {
  return F32{half_to_float(p[0]), half_to_float(p[1]), half_to_float(p[2]), half_to_float(p[3])};
}
static inline void store_half(uint16_t* p, F32 v) {
  for (int i = 0; i < kLanes; ++i) p[i] = float_to_half(v[i]);
}
static inline F32 load_bfloat(const uint16_t* p) {
  const I32 v = {int32_t(uint32_t(p[0]) << 16), int32_t(uint32_t(p[1]) << 16), int32_t(uint32_t(p[2]) << 16),
                 int32_t(uint32_t(p[3]) << 16)};
  F32 r;
  memcpy(&r, &v, sizeof r);
  return r;
}
static inline I32 load_u8(const uint8_t* p) { return I32{p[0], p[1], p[2], p[3]}; }
static inline I32 load_s8(const int8_t* p) { return I32{p[0], p[1], p[2], p[3]}; }
static inline Bytes splat_byte(uint8_t v) { return Bytes{} + v; }
typedef uint16_t Words16 __attribute__((vector_size(16)));
template <int n> static inline Bytes shift_right(Bytes v) { return (Bytes)((Words16)v >> n); }
template <int n> static inline Bytes shift_left(Bytes v) { return (Bytes)((Words16)v << n); }
static inline Bytes lookup(const int8_t* table, Bytes v) {
  Bytes r;
  for (int i = 0; i < 4 * kLanes; ++i) r[i] = uint8_t(table[v[i] & 15]);
  return r;
}
static inline Bytes signed_bytes(Bytes v) { return v; }
// sum + the dot product of 4 neighbouring bytes, unsigned below 128 times signed.
static inline I32 dot4(Bytes u, Bytes s, I32 sum) {
  for (int i = 0; i < kLanes; ++i)
    for (int c = 0; c < 4; ++c) sum[i] += int32_t(u[4 * i + c]) * int32_t(int8_t(s[4 * i + c]));
  return sum;
}
template <int bits, int n> static inline I32 dot(const Bytes* q, const int8_t* a, I32 init) {
  for (int j = 0; j < n; ++j)
    for (int i = 0; i < kLanes; ++i)
      for (int c = 0; c < 4; ++c) {
        const uint8_t w = q[j][4 * i + c];
        init[i] += (bits == 8 ? int32_t(int8_t(w)) : int32_t(w)) * a[4 * j + c];
      }
  return init;
}
// init + a[2i] * b[2i] + a[2i + 1] * b[2i + 1].
static inline I32 dot2(I16 a, I16 b, I32 init) {
  for (int i = 0; i < kLanes; ++i) init[i] += int32_t(a[2 * i]) * b[2 * i] + int32_t(a[2 * i + 1]) * b[2 * i + 1];
  return init;
}
// a * b / 2^15, to nearest.
static inline I16 multiply_high(I16 a, I16 b) {
  I16 r;
  for (int i = 0; i < 2 * kLanes; ++i) r[i] = int16_t((int32_t(a[i]) * b[i] + 0x4000) >> 15);
  return r;
}
static inline void prefetch(const void*) {}

}  // namespace frugal::FRUGAL_ISA
