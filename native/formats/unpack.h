// Stored blocks to codes, scales and minima: what the packer and the row reader ask of a format. One function a format; bytes may be unaligned.
#pragma once
#include <stdint.h>
#include <string.h>

#include "packed.h"

namespace frugal {

// 256 inputs, or the 32 of a small block, as the layouts want them.
struct Codes {
  uint8_t code[256];   // unsigned codes; signed bytes as they are
  uint16_t scale[16];  // F16 bits of each sub-block, or in [0] that of the super-block
  uint16_t minimum[16];
  uint8_t sub_scale[16], sub_minimum[16];  // of `super`; the one byte of `exponent` in sub_scale[0]
};

static inline uint16_t u16(const uint8_t* p) { return uint16_t(p[0] | p[1] << 8); }

static inline void nibbles32(const uint8_t* p, uint8_t* code) {
  for (int i = 0; i < 16; ++i) {
    code[i] = p[i] & 15;
    code[i + 16] = p[i] >> 4;
  }
}
static inline void fifth_bits32(const uint8_t* p, uint8_t* code) {
  uint32_t bits;
  memcpy(&bits, p, 4);
  for (int i = 0; i < 32; ++i) code[i] = uint8_t(code[i] | (bits >> i & 1) << 4);
}
static inline void unpack_q4_0(const uint8_t* p, Codes& c) { c.scale[0] = u16(p); nibbles32(p + 2, c.code); }
static inline void unpack_iq4_nl(const uint8_t* p, Codes& c) { unpack_q4_0(p, c); }
static inline void unpack_q4_1(const uint8_t* p, Codes& c) { c.scale[0] = u16(p); c.minimum[0] = u16(p + 2) ^ 0x8000; nibbles32(p + 4, c.code); }
static inline void unpack_q5_0(const uint8_t* p, Codes& c) { c.scale[0] = u16(p); nibbles32(p + 6, c.code); fifth_bits32(p + 2, c.code); }
static inline void unpack_q5_1(const uint8_t* p, Codes& c) {
  c.scale[0] = u16(p);
  c.minimum[0] = u16(p + 2) ^ 0x8000;
  nibbles32(p + 8, c.code);
  fifth_bits32(p + 4, c.code);
}
static inline void unpack_q8_0(const uint8_t* p, Codes& c) { c.scale[0] = u16(p); memcpy(c.code, p + 2, 32); }
static inline void unpack_mxfp4(const uint8_t* p, Codes& c) { c.sub_scale[0] = p[0]; nibbles32(p + 1, c.code); }

// 8 six-bit scales and 8 six-bit minima in 12 bytes.
static inline void six_bit_pairs(const uint8_t* s, Codes& c) {
  for (int j = 0; j < 4; ++j) {
    c.sub_scale[j] = s[j] & 63;
    c.sub_minimum[j] = s[j + 4] & 63;
    c.sub_scale[j + 4] = uint8_t((s[j + 8] & 15) | s[j] >> 6 << 4);
    c.sub_minimum[j + 4] = uint8_t(s[j + 8] >> 4 | s[j + 4] >> 6 << 4);
  }
}
static inline void unpack_q4_k(const uint8_t* p, Codes& c) {
  c.scale[0] = u16(p);
  c.minimum[0] = u16(p + 2);
  six_bit_pairs(p + 4, c);
  for (int half = 0; half < 4; ++half)
    for (int i = 0; i < 32; ++i) {
      c.code[64 * half + i] = p[16 + 32 * half + i] & 15;
      c.code[64 * half + 32 + i] = p[16 + 32 * half + i] >> 4;
    }
}
static inline void unpack_q5_k(const uint8_t* p, Codes& c) {
  c.scale[0] = u16(p);
  c.minimum[0] = u16(p + 2);
  six_bit_pairs(p + 4, c);
  const uint8_t *high = p + 16, *low = p + 48;
  for (int half = 0; half < 4; ++half)
    for (int i = 0; i < 32; ++i) {
      c.code[64 * half + i] = uint8_t((low[32 * half + i] & 15) | (high[i] >> (2 * half) & 1) << 4);
      c.code[64 * half + 32 + i] = uint8_t(low[32 * half + i] >> 4 | (high[i] >> (2 * half + 1) & 1) << 4);
    }
}
static inline void unpack_q6_k(const uint8_t* p, Codes& c) {
  for (int half = 0; half < 2; ++half) {
    const uint8_t *low = p + 64 * half, *high = p + 128 + 32 * half;
    uint8_t* code = c.code + 128 * half;
    for (int i = 0; i < 32; ++i) {
      code[i] = uint8_t((low[i] & 15) | (high[i] & 3) << 4);
      code[i + 32] = uint8_t((low[i + 32] & 15) | (high[i] >> 2 & 3) << 4);
      code[i + 64] = uint8_t(low[i] >> 4 | (high[i] >> 4 & 3) << 4);
      code[i + 96] = uint8_t(low[i + 32] >> 4 | (high[i] >> 6) << 4);
    }
  }
  memcpy(c.sub_scale, p + 192, 16);
  c.scale[0] = u16(p + 208);
}
static inline void unpack_q2_k(const uint8_t* p, Codes& c) {
  for (int j = 0; j < 16; ++j) {
    c.sub_scale[j] = p[j] & 15;
    c.sub_minimum[j] = p[j] >> 4;
  }
  for (int half = 0; half < 2; ++half)
    for (int field = 0; field < 4; ++field)
      for (int i = 0; i < 32; ++i) c.code[128 * half + 32 * field + i] = p[16 + 32 * half + i] >> (2 * field) & 3;
  c.scale[0] = u16(p + 80);
  c.minimum[0] = u16(p + 82);
}
static inline void unpack_q3_k(const uint8_t* p, Codes& c) {
  const uint8_t *high = p, *low = p + 32, *s = p + 96;
  for (int half = 0; half < 2; ++half)
    for (int field = 0; field < 4; ++field)
      for (int i = 0; i < 32; ++i)
        c.code[128 * half + 32 * field + i] = uint8_t((low[32 * half + i] >> (2 * field) & 3) | (high[i] >> (4 * half + field) & 1) << 2);
  for (int j = 0; j < 16; ++j) {
    const int low4 = j < 8 ? s[j] & 15 : s[j - 8] >> 4, high2 = s[8 + j % 4] >> (2 * (j / 4)) & 3;
    c.sub_scale[j] = uint8_t((low4 | high2 << 4) - 32);
  }
  c.scale[0] = u16(p + 108);
}
static inline void unpack_iq4_xs(const uint8_t* p, Codes& c) {
  c.scale[0] = u16(p);
  const uint16_t high = u16(p + 2);
  for (int j = 0; j < 8; ++j) {
    const int low4 = p[4 + j / 2] >> (4 * (j % 2)) & 15;
    c.sub_scale[j] = uint8_t((low4 | (high >> (2 * j) & 3) << 4) - 32);
    nibbles32(p + 8 + 16 * j, c.code + 32 * j);
  }
}
static inline void unpack_tq2_0(const uint8_t* p, Codes& c) {
  for (int half = 0; half < 2; ++half)
    for (int field = 0; field < 4; ++field)
      for (int i = 0; i < 32; ++i) c.code[128 * half + 32 * field + i] = p[32 * half + i] >> (2 * field) & 3;
  for (int j = 0; j < 8; ++j) c.scale[j] = u16(p + 64);
}
// Five ternary digits a byte: digit n of b is (b * 3^n mod 256) * 3 / 256.
static inline void unpack_tq1_0(const uint8_t* p, Codes& c) {
  static constexpr uint8_t power[5] = {1, 3, 9, 27, 81};
  uint8_t* out = c.code;
  const auto digits = [&](const uint8_t* bytes, int count, int n) {
    for (int digit = 0; digit < n; ++digit)
      for (int i = 0; i < count; ++i) *out++ = uint8_t(uint16_t(uint8_t(bytes[i] * power[digit])) * 3 >> 8);
  };
  digits(p, 32, 5);
  digits(p + 32, 16, 5);
  digits(p + 48, 4, 4);
  for (int j = 0; j < 8; ++j) c.scale[j] = u16(p + 52);
}

}  // namespace frugal
