// Pages of Q8_0: keys [pairs of channels][32 tokens][2] and values [pairs of tokens][channels][2] in bytes, then scales, F16 [blocks of 32
// channels][32 tokens]. Before the products a page becomes 16-bit integers of one scale a token, that of its largest block, of which the others
// are fractions: products of pairs of such integers are twice as fast as those of floats, and sums of them are exact.
// A number that is not finite makes its scale NaN, and so is seen in the results.
#pragma once
#include "attention-pages.h"

namespace frugal::FRUGAL_ISA {

// Integers of vectors that are not longer than this have products below 2^30, whatever the order of the sum.
constexpr float kLargest = 32767.0f;

static inline float squares(const float* x, int n) {
  F32 total = splat(0);
  each(x, n, 0, [&](F32 v, int64_t, int) { total = fma(v, v, total); });
  return sum(total);
}
static inline float length_of(const float* x, int n) { return sqrt(splat(squares(x, n)))[0]; }
static inline float peak_of(const float* x, int n) {
  F32 peaks = splat(0);
  each(x, n, 0, [&](F32 v, int64_t, int) { peaks = max(peaks, max(v, -v)); });
  return max(peaks) + 0 * squares(x, n);
}

// What a number is multiplied with to become an integer in units of `unit`; nothing where that is too small, or not a number.
static inline float inverse_of(float unit) { return unit > 1e-30f ? 1.0f / unit : 0.0f; }
static inline I32 rounded(F32 v) { return __builtin_convertvector(round(v), I32); }

struct Blocks {
  using Stored = int16_t;
  using Number = int16_t;
  static constexpr int kBlock = 32;
  static_assert(kBlock == kPageSize, "the scales of the block at channel d begin at scales + d");

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

  static int64_t room_bytes(int key_size, int value_size) {
    const int64_t keys = Cache::key_codes(key_size), values = Cache::value_codes(value_size);
    return 2 * (keys > values ? keys : values) + kPageSize * 4;
  }
  // The scale of kLanes tokens, and what makes fractions of `most` of their blocks' scales.
  struct Scale {
    F32 whole, inverse;
  };
  static Scale scale_of(const uint16_t* scales, int size, float most) {
    F32 peak = splat(0), total = splat(0);
    for (int d = 0; d < size; d += kBlock) {
      const F32 s = load_half(scales + d);
      peak = max(peak, s);
      total += s;
    }
    return {fma(total, splat(0), peak) * splat(128 / most), peak > splat(0) ? splat(most) / peak : splat(0)};
  }
  static I32 fractions(const uint16_t* scales, F32 inverse) { return rounded(load_half(scales) * inverse); }
  static void expand(const uint8_t* codes, I16 fraction, uint8_t* to) {
    store_words(reinterpret_cast<int16_t*>(to), multiply_high(widen(reinterpret_cast<const int8_t*>(codes)) << 8, fraction));
  }

  static View<int16_t> keys(const uint8_t* page, int size, uint8_t* room) {
    const float most = __builtin_floorf(kLargest / sqrt(splat(float(size + 1)))[0]);  // then no key is longer than kLargest
    const int64_t codes = Cache::key_codes(size);
    float* wholes = reinterpret_cast<float*>(room + 2 * codes);
    for (int t = 0; t < kPageSize; t += kLanes) {
      const uint16_t* scales = reinterpret_cast<const uint16_t*>(page + codes) + t;
      const Scale scale = scale_of(scales, size, most);
      store(wholes + t, scale.whole);
      for (int d = 0; d < size; d += kBlock) {
        const I32 fraction = fractions(scales + d, scale.inverse);
        const int64_t last = (d + kBlock < size ? d + kBlock : size) * kPageSize;
        for (int64_t at = d * kPageSize + 2 * t; at < last; at += 2 * kPageSize)
          expand(page + at, (I16)(fraction | fraction << 16), room + 2 * at);
      }
    }
    return {reinterpret_cast<int16_t*>(room), 0, wholes};
  }
  static View<int16_t> values(const uint8_t* page, int size, uint8_t* room) {
    const int64_t codes = Cache::value_codes(size), stride = Cache::value_stride(size);
    const uint16_t* scales = reinterpret_cast<const uint16_t*>(page + codes);
    float *wholes = reinterpret_cast<float*>(room + 2 * codes), inverse[kPageSize];
    for (int t = 0; t < kPageSize; t += kLanes) {
      const Scale scale = scale_of(scales + t, size, kLargest);
      store(wholes + t, scale.whole);
      store(inverse + t, scale.inverse);
    }
    for (int d = 0; d < size; d += kBlock) {
      int16_t fraction[kPageSize];
      for (int t = 0; t < kPageSize; t += kLanes) store_s16(fraction + t, fractions(scales + d + t, load(inverse + t)));
      const int64_t last = d + kBlock < stride ? d + kBlock : stride;
      for (int t = 0; t < kPageSize; t += 2)
        for (int64_t at = t * stride + 2 * d; at < t * stride + 2 * last; at += 2 * kLanes)
          expand(page + at, splat_pair(fraction + t), room + 2 * at);
    }
    return {reinterpret_cast<int16_t*>(room), int(stride), wholes};
  }
};

}  // namespace frugal::FRUGAL_ISA
