// How a head's keys and values lie in a page of 32 tokens, and how rows get there. A format says of what kind the numbers are that pages are
// multiplied with (`Number`: those of queries and of weights), and makes pages ready for that, with `room` for what it must compute.
// Floats and halves: keys [size][32], values [32][size].
#pragma once
#include <type_traits>

#include "kernel.h"

namespace frugal::FRUGAL_ISA {

// Where a sequence's pages are.
struct Pages {
  uint8_t *keys, *values;
  int64_t key_bytes, value_bytes;  // of a page of one head
  int heads, key_size, value_size;
  const int32_t* table;  // null: pages follow each other from `first`
  int64_t first;
  int64_t page(int64_t index) const { return table ? table[index] : first + index; }
  uint8_t* key(int64_t index, int head) const { return keys + (page(index) * heads + head) * key_bytes; }
  uint8_t* value(int64_t index, int head) const { return values + (page(index) * heads + head) * value_bytes; }
};

// A page of one head as the products read it. Keys kept in blocks of 32 channels have a scale, F16 [blocks][32 tokens], and else none.
template <class Stored> struct Keys {
  const Stored* numbers;
  const uint16_t* scales;
};
// Values: `stride` numbers a token, and where they are integers a scale for each token.
template <class Stored> struct Values {
  const Stored* numbers;
  int stride;
  const float* scales;
};

template <class T> struct Plain {
  using Number = float;
  static Keys<T> keys(const uint8_t* page, int, uint8_t*) { return {reinterpret_cast<const T*>(page), nullptr}; }
  static Values<T> values(const uint8_t* page, int size, uint8_t*) { return {reinterpret_cast<const T*>(page), size, nullptr}; }
  static int64_t room_bytes(int, int) { return 0; }
};

struct Floats : Plain<float> {
  static void write_key(uint8_t* page, int64_t slot, const float* x, int size) {
    for (int d = 0; d < size; ++d) reinterpret_cast<float*>(page)[d * kPageSize + slot] = x[d];
  }
  static void write_value(uint8_t* page, int64_t slot, const float* x, int size) { memcpy(page + slot * size * 4, x, size_t(size) * 4); }
};

// Kept as 16-bit integers of one scale a token instead, 512 tokens of Gemma 3 270M take 3.4 ms a layer and not 5.7 on AVX-512, 4.4 and not 5.6 on
// AVX2, with half the error; but values would no longer come back as the halves they are said to be.
struct Halves : Plain<uint16_t> {
  template <class F> static void each_half(const float* x, int size, F f) {
    each(x, size, 0, [&](F32 v, int64_t d, int count) {
      uint16_t half[kLanes];
      store_half(half, v);
      f(d, half, count);
    });
  }
  static void write_key(uint8_t* page, int64_t slot, const float* x, int size) {
    each_half(x, size, [&](int64_t d, const uint16_t* half, int count) {
      for (int i = 0; i < count; ++i) reinterpret_cast<uint16_t*>(page)[(d + i) * kPageSize + slot] = half[i];
    });
  }
  static void write_value(uint8_t* page, int64_t slot, const float* x, int size) {
    each_half(x, size, [&](int64_t d, const uint16_t* half, int count) { memcpy(page + (slot * size + d) * 2, half, size_t(count) * 2); });
  }
};

// Halves made floats once for all queries of a block.
struct WideHalves : Halves {
  static const float* widen(const uint8_t* page, int size, uint8_t* room) {
    float* to = reinterpret_cast<float*>(room);
    for (int64_t i = 0; i < int64_t(size) * kPageSize; i += kLanes) store(to + i, load_half(reinterpret_cast<const uint16_t*>(page) + i));
    return to;
  }
  static Keys<float> keys(const uint8_t* page, int size, uint8_t* room) { return {widen(page, size, room), nullptr}; }
  static Values<float> values(const uint8_t* page, int size, uint8_t* room) { return {widen(page, size, room), size, nullptr}; }
  static int64_t room_bytes(int key_size, int value_size) { return int64_t(key_size > value_size ? key_size : value_size) * kPageSize * 4; }
};

// The format in which a block of many queries reads pages. 512 tokens of Gemma 3 270M, halves made floats: AVX-512 6.4 to 5.7 ms a layer, but
// AVX2 5.8 to 6.5, where such a page fills the first cache and is read twice as often. Where no instruction reads halves it is always better.
template <class Format> struct ForMany {
  using Type = Format;
};
template <> struct ForMany<Halves> {
  using Type = std::conditional_t<kLanes == 16 || kScaleBytes == 4, WideHalves, Halves>;
};

}  // namespace frugal::FRUGAL_ISA
