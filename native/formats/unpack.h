// Stored blocks to codes, scales and minima: what the packer and the row reader ask of a format. One function a format; bytes may be unaligned.
#pragma once
#include <stdint.h>
#include <string.h>

#include "packed.h"

namespace frugal {

// 256 inputs, or the 32 of a small block, as the layouts want them.
struct Codes {
  uint32_t word[64];   // four unsigned codes each, first in the lowest byte; signed bytes as they are
  uint16_t scale[16];  // F16 bits of each sub-block, or in [0] that of the super-block
  uint16_t minimum[16];
  uint8_t sub_scale[16], sub_minimum[16];  // of `super`; the one byte of `exponent` in sub_scale[0]
};

static inline uint16_t u16(const uint8_t* p) { return uint16_t(p[0] | p[1] << 8); }
static inline uint32_t u32(const uint8_t* p) {
  uint32_t v;
  memcpy(&v, p, 4);
  return v;
}

// 32 codes at once, explicitly: loops over bytes cost three to five times as much, and for AVX-512 compilers make scatters of loops over words.
typedef uint32_t Eight __attribute__((vector_size(32)));
static inline Eight load8(const uint8_t* p) {
  Eight v;
  memcpy(&v, p, 32);
  return v;
}
static inline void store8(uint32_t* word, Eight v) { memcpy(word, &v, 32); }

constexpr uint32_t kNibbles = 0x0f0f0f0f, kPairs = 0x03030303, kOnes = 0x01010101;

static inline void nibbles32(const uint8_t* p, uint32_t* word) {
  for (int i = 0; i < 4; ++i) {
    const uint32_t v = u32(p + 4 * i);
    word[i] = v & kNibbles;
    word[i + 4] = v >> 4 & kNibbles;
  }
}
// Bits 0..3 become bit 0 of bytes 0..3.
static inline uint32_t spread(uint32_t four) { return (four & 15) * 0x00204081 & kOnes; }
static inline void fifth_bits32(const uint8_t* p, uint32_t* word) {
  const uint32_t bits = u32(p);
  for (int i = 0; i < 8; ++i) word[i] |= spread(bits >> 4 * i) << 4;
}
static inline void unpack_q4_0(const uint8_t* p, Codes& c) {
  c.scale[0] = u16(p);
  nibbles32(p + 2, c.word);
}
static inline void unpack_iq4_nl(const uint8_t* p, Codes& c) { unpack_q4_0(p, c); }
static inline void unpack_q4_1(const uint8_t* p, Codes& c) {
  c.scale[0] = u16(p);
  c.minimum[0] = u16(p + 2) ^ 0x8000;
  nibbles32(p + 4, c.word);
}
static inline void unpack_q5_0(const uint8_t* p, Codes& c) {
  c.scale[0] = u16(p);
  nibbles32(p + 6, c.word);
  fifth_bits32(p + 2, c.word);
}
static inline void unpack_q5_1(const uint8_t* p, Codes& c) {
  c.scale[0] = u16(p);
  c.minimum[0] = u16(p + 2) ^ 0x8000;
  nibbles32(p + 8, c.word);
  fifth_bits32(p + 4, c.word);
}
static inline void unpack_q8_0(const uint8_t* p, Codes& c) {
  c.scale[0] = u16(p);
  memcpy(c.word, p + 2, 32);
}
static inline void unpack_mxfp4(const uint8_t* p, Codes& c) {
  c.sub_scale[0] = p[0];
  nibbles32(p + 1, c.word);
}

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
  for (int half = 0; half < 4; ++half) {
    const Eight v = load8(p + 16 + 32 * half);
    store8(c.word + 16 * half, v & kNibbles);
    store8(c.word + 16 * half + 8, v >> 4 & kNibbles);
  }
}
static inline void unpack_q5_k(const uint8_t* p, Codes& c) {
  c.scale[0] = u16(p);
  c.minimum[0] = u16(p + 2);
  six_bit_pairs(p + 4, c);
  const uint8_t *high = p + 16, *low = p + 48;
  for (int half = 0; half < 4; ++half) {
    const Eight v = load8(low + 32 * half), h = load8(high) >> 2 * half;
    store8(c.word + 16 * half, (v & kNibbles) | (h & kOnes) << 4);
    store8(c.word + 16 * half + 8, (v >> 4 & kNibbles) | (h >> 1 & kOnes) << 4);
  }
}
static inline void unpack_q6_k(const uint8_t* p, Codes& c) {
  for (int half = 0; half < 2; ++half) {
    const uint8_t *low = p + 64 * half, *high = p + 128 + 32 * half;
    uint32_t* word = c.word + 32 * half;
    const Eight v = load8(low), w = load8(low + 32), h = load8(high);
    store8(word, (v & kNibbles) | (h & kPairs) << 4);
    store8(word + 8, (w & kNibbles) | (h >> 2 & kPairs) << 4);
    store8(word + 16, (v >> 4 & kNibbles) | (h >> 4 & kPairs) << 4);
    store8(word + 24, (w >> 4 & kNibbles) | (h >> 6 & kPairs) << 4);
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
    for (int field = 0; field < 4; ++field) store8(c.word + 32 * half + 8 * field, load8(p + 16 + 32 * half) >> 2 * field & kPairs);
  c.scale[0] = u16(p + 80);
  c.minimum[0] = u16(p + 82);
}
static inline void unpack_q3_k(const uint8_t* p, Codes& c) {
  const uint8_t *high = p, *low = p + 32, *s = p + 96;
  for (int half = 0; half < 2; ++half)
    for (int field = 0; field < 4; ++field)
      store8(c.word + 32 * half + 8 * field, (load8(low + 32 * half) >> 2 * field & kPairs) | (load8(high) >> (4 * half + field) & kOnes)
                                                                                                  << 2);
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
    nibbles32(p + 8 + 16 * j, c.word + 8 * j);
  }
}
static inline void unpack_tq2_0(const uint8_t* p, Codes& c) {
  for (int half = 0; half < 2; ++half)
    for (int field = 0; field < 4; ++field) store8(c.word + 32 * half + 8 * field, load8(p + 32 * half) >> 2 * field & kPairs);
  for (int j = 0; j < 8; ++j) c.scale[j] = u16(p + 64);
}
// Five ternary digits a byte: digit n of b is (b * 3^n mod 256) * 3 / 256.
static inline void unpack_tq1_0(const uint8_t* p, Codes& c) {
  static constexpr uint8_t power[5] = {1, 3, 9, 27, 81};
  uint8_t* out = reinterpret_cast<uint8_t*>(c.word);
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
