// Pages of Q8_0: keys [pairs of channels][32 tokens][2] and values [pairs of tokens][channels][2] in bytes, then scales, F16 [blocks of 32
// channels][32 tokens]. The products take pairs of 16-bit integers, twice as fast as floats, with exact sums. Keys' blocks are scaled after
// each; values become integers of one scale a token before, that of its largest block, of which the others are fractions in 15 bits.
// A number that is not finite makes its scale NaN, and so is seen in the results.
// Pages of Q4_0 have the same keys, and values of 4 bits: [32 tokens][blocks][16 bytes], channel j of a block beside channel j + 16.
#pragma once
#include "attention-pages.h"

namespace frugal::FRUGAL_ISA {

constexpr float kLargest = 32767.0f;

// The largest magnitude; NaN where a number is not finite.
static inline float peak_of(const float* x, int n) {
  F32 peaks = splat(0), broken = splat(0);
  each(x, n, 0, [&](F32 v, int64_t, int) {
    peaks = max(peaks, max(v, -v));
    broken += v * splat(0);
  });
  return max(peaks) + sum(broken);
}

// What a number is multiplied with to become an integer in units of `unit`; nothing where that is too small, or not a number.
static inline float inverse_of(float unit) { return unit > 1e-30f || unit < -1e-30f ? 1.0f / unit : 0.0f; }
static inline I32 rounded(F32 v) { return to_integer(round(v)); }

constexpr int kBlock = 32;
static_assert(kBlock == kPageSize, "the scales of the block at channel d begin at scales + d");

// Scales of values as 15-bit fractions of the largest of each token's, whose unit is that of the token: `codes` of them are one.
struct Fractions {
  const uint16_t* scales;
  float inverse[kPageSize];
  Fractions(const uint16_t* all, int size, float codes, float* units) : scales(all) {
    for (int t = 0; t < kPageSize; t += kLanes) {
      F32 peak = splat(0), broken = splat(0);
      for (int d = 0; d < size; d += kBlock) {
        const F32 scale = load_half(scales + d + t);
        peak = max(peak, max(scale, -scale));
        broken += scale * splat(0);
      }
      store(units + t, (peak + broken) * splat(codes / kLargest));
      store(inverse + t, peak > splat(0) ? splat(kLargest) / peak : splat(0));
    }
  }
  void block(int d, int16_t* fraction) const {
    for (int t = 0; t < kPageSize; t += kLanes) store_s16(fraction + t, rounded(load_half(scales + d + t) * load(inverse + t)));
  }
};

struct Blocks {
  using Number = int16_t;

  // Calls f(channel, codes, count) with what is kept of x, whose scales go to `slot` of `scales`.
  template <class F> static void encode(uint8_t* scales, int64_t slot, const float* x, int size, F f) {
    for (int d = 0; d < size; d += kBlock) {
      const int n = size - d < kBlock ? size - d : kBlock;
      uint16_t half[kLanes];
      store_half(half, splat(peak_of(x + d, n) / 127.0f));
      reinterpret_cast<uint16_t*>(scales)[d + slot] = half[0];
      const F32 inverse = splat(inverse_of(load_half(half)[0])), most = splat(127);  // a scale without bits to spare may be rounded down
      each(x + d, n, 0, [&](F32 v, int64_t i, int count) {
        int8_t codes[kLanes];
        store_s8(codes, rounded(min(max(v * inverse, -most), most)));
        f(d + i, codes, count);
      });
    }
  }
  static void write_key(uint8_t* page, int64_t slot, const float* x, int size) {
    encode(page + Cache::key_codes(size), slot, x, size, [&](int64_t d, const int8_t* codes, int count) {
      for (int i = 0; i < count; i += 2) memcpy(page + (d + i) * kPageSize + 2 * slot, codes + i, 2);
    });
  }
  static void write_value(uint8_t* page, int64_t slot, const float* x, int size) {
    uint8_t* to = page + slot / 2 * 2 * Cache::value_stride(size) + slot % 2;
    encode(page + Cache::value_codes(size), slot, x, size, [&](int64_t d, const int8_t* codes, int count) {
      for (int i = 0; i < count; ++i) to[2 * (d + i)] = uint8_t(codes[i]);
    });
  }

  static int64_t room_bytes(int, int value_size) { return 2 * Cache::value_codes(value_size) + kPageSize * 4; }
  static Keys<int8_t> keys(const uint8_t* page, int size, uint8_t*) {
    return {reinterpret_cast<const int8_t*>(page), reinterpret_cast<const uint16_t*>(page + Cache::key_codes(size))};
  }
  static Values<int16_t> values(const uint8_t* page, int size, uint8_t* room) {
    const int64_t codes = Cache::value_codes(size), stride = Cache::value_stride(size);
    const uint16_t* scales = reinterpret_cast<const uint16_t*>(page + codes);
    float* units = reinterpret_cast<float*>(room + 2 * codes);
    int16_t fraction[kPageSize];
    const Fractions of(scales, size, 128, units);
    for (int d = 0; d < size; d += kBlock) {
      of.block(d, fraction);
      const int64_t last = d + kBlock < stride ? d + kBlock : stride;
      for (int t = 0; t < kPageSize; t += 2)
        for (int64_t at = t * stride + 2 * d; at < t * stride + 2 * last; at += 2 * kLanes)
          store_words(reinterpret_cast<int16_t*>(room) + at,
                      multiply_high(widen(reinterpret_cast<const int8_t*>(page) + at) << 8, splat_pair(fraction + t)));
    }
    return {reinterpret_cast<int16_t*>(room), int(stride), units};
  }
};

// A block's scale is its largest number, whichever sign it has, over -8, as in GGUF's Q4_0.
struct Nibbles : Blocks {
  static void write_value(uint8_t* page, int64_t slot, const float* x, int size) {
    uint16_t* scales = reinterpret_cast<uint16_t*>(page + Cache::value_nibbles(size));
    uint8_t* to = page + slot * Cache::value_nibbles(size) / kPageSize;
    for (int d = 0; d < size; d += kBlock, to += kBlock / 2) {
      const int n = size - d < kBlock ? size - d : kBlock;
      F32 high = splat(0), low = splat(0), broken = splat(0);
      each(x + d, n, 0, [&](F32 v, int64_t, int) {
        high = max(high, v), low = max(low, -v);
        broken += v * splat(0);
      });
      const float up = max(high), down = max(low);
      uint16_t half[kLanes];
      store_half(half, splat((down < up ? -up : down) / 8 + sum(broken)));
      scales[d + slot] = half[0];
      const F32 inverse = splat(inverse_of(load_half(half)[0]));
      int8_t codes[kBlock] = {};
      each(x + d, n, 0, [&](F32 v, int64_t i, int) { store_s8(codes + i, rounded(min(max(v * inverse, splat(-8)), splat(7)))); });
      for (int j = 0; j < kBlock / 2; ++j) to[j] = uint8_t((codes[j] & 15) | (codes[j + kBlock / 2] & 15) << 4);
    }
  }
  static Values<int16_t> values(const uint8_t* page, int size, uint8_t* room) {
    const int64_t stride = Cache::value_stride(size), token = Cache::value_nibbles(size) / kPageSize;
    float* units = reinterpret_cast<float*>(room + 2 * Cache::value_codes(size));
    int16_t fraction[kPageSize];
    const Fractions of(reinterpret_cast<const uint16_t*>(page + Cache::value_nibbles(size)), size, 8, units);
    for (int d = 0; d < size; d += kBlock) {
      of.block(d, fraction);
      for (int t = 0; t < kPageSize; t += 2) {
        const I16 pair = splat_pair(fraction + t);
        const uint8_t* from = page + t * token + d / 2;
        int16_t* to = reinterpret_cast<int16_t*>(room) + t * stride + 2 * d;
        // Two tokens side by side, their nibbles the highest bits of 16.
        for (int j = 0; j < kBlock / 2; j += kLanes) {
          const I32 a = load_u8(from + j), b = load_u8(from + token + j);
          store_words(to + 2 * j, multiply_high((I16)((a & 15) << 12 | (b & 15) << 28), pair));
          if (d + kBlock / 2 < stride) store_words(to + kBlock + 2 * j, multiply_high((I16)((a & 240) << 8 | (b & 240) << 24), pair));
        }
      }
    }
    return {reinterpret_cast<int16_t*>(room), int(stride), units};
  }
};

}  // namespace frugal::FRUGAL_ISA
