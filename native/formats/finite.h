// Whether stored rows hold NaN or infinity: in their numbers, or in a scale or minimum of a block.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "packed.h"

namespace frugal {

// Where a block's F16 numbers are; -1 for none.
struct Halves {
  int first, second;
};
constexpr Halves halves_of(int type) {
  switch (type) {
    case 2:
    case 6:
    case 8:
    case 20:
    case 23: return {0, -1};  // Q4_0 Q5_0 Q8_0 IQ4_NL IQ4_XS
    case 3:
    case 7:
    case 12:
    case 13: return {0, 2};     // Q4_1 Q5_1 Q4_K Q5_K
    case 10: return {80, 82};   // Q2_K
    case 11: return {108, -1};  // Q3_K
    case 14: return {208, -1};  // Q6_K
    case 34: return {52, -1};   // TQ1_0
    case 35: return {64, -1};   // TQ2_0
    default: return {-1, -1};
  }
}

// Numbers whose exponent is all ones.
template <class T> static inline bool any_not_finite(const uint8_t* data, size_t bytes, T exponent) {
  T found = 0;
  for (size_t at = 0; at + sizeof(T) <= bytes; at += sizeof(T)) {
    T v;
    memcpy(&v, data + at, sizeof(T));
    found |= T((v & exponent) == exponent);
  }
  return found != 0;
}

static inline bool half_not_finite(const uint8_t* p) { return (p[1] & 0x7c) == 0x7c; }

// The first of `count` rows that holds one, or -1.
static inline int64_t first_row_not_finite(int type, const uint8_t* rows, size_t row_bytes, int64_t count) {
  int block = 0;
  switch (type) {
#define FORMAT(name, number, inputs, bytes, layout, table) \
  case number: block = bytes; break;
    FRUGAL_FORMATS(FORMAT)
#undef FORMAT
    default: return -1;
  }
  const auto [first, second] = halves_of(type);
  for (int64_t r = 0; r < count; ++r, rows += row_bytes) {
    bool bad = false;
    if (type == 0) bad = any_not_finite<uint32_t>(rows, row_bytes, 0x7f800000u);
    else if (type == 1) bad = any_not_finite<uint16_t>(rows, row_bytes, 0x7c00);
    else if (type == 30) bad = any_not_finite<uint16_t>(rows, row_bytes, 0x7f80);
    else if (first >= 0)
      for (size_t at = 0; at + size_t(block) <= row_bytes; at += size_t(block)) {
        bad |= half_not_finite(rows + at + first);
        if (second >= 0) bad |= half_not_finite(rows + at + second);
      }
    if (bad) return r;
  }
  return -1;
}

}  // namespace frugal
