// Parts of a packed matrix as floats again, for products that take floats.
#pragma once
#include "tile.h"

namespace frugal::FRUGAL_ISA {

template <Layout L> static inline void unpack_coded(const uint8_t* codes, const uint8_t* scales, const int8_t* table, int first, int last,
                                                    int64_t from, int64_t count, float* to, int64_t width) {
  constexpr int subs = 32 / L.sub_block, vectors = 8 / subs;
  for (int64_t b = from / 32; b < (from + count) / 32; ++b)
    for (int lane = first; lane < last; lane += kLanes) {
      Bytes q[8];
      load_codes<L>(codes + b * L.code_bytes(), lane, table, q);
      for (int sub = 0; sub < subs; ++sub) {
        const F32 scale = load_scale<L>(scales, b, sub, lane);
        F32 minimum = splat(0);
        if constexpr (L.minimum) minimum = load_minimum<L>(scales, b, sub, lane);
        float* out = to + (b * 32 - from + sub * L.sub_block) * width + lane - first;
        for (int j = 0; j < vectors; ++j) {
          I32 words;
          memcpy(&words, &q[sub * vectors + j], sizeof words);
          for (int c = 0; c < 4; ++c) {
            // Unsigned codes, signed ones, and signed ones kept as byte + 128.
            I32 code = (words >> (8 * c)) & 255;
            if constexpr (L.codes == CodeKind::offset && L.zero_shift >= 0) code -= splat_i(1 << L.zero_shift);
            if constexpr (L.codes != CodeKind::offset && kBiasedBytes) code -= splat_i(128);
            if constexpr (L.codes != CodeKind::offset && !kBiasedBytes) code = (words << (24 - 8 * c)) >> 24;
            F32 v = scale * to_float(code);
            if constexpr (L.minimum) v -= minimum;
            store(out + (4 * j + c) * width, v);
          }
        }
      }
    }
}

// Rows [first, last) of a group (whole vectors), inputs [from, from + count), transposed: to[(input - from) * width + row - first].
// For coded types `from` and `count` are whole blocks of 32.
static inline void unpack_columns(const Matrix& w, int64_t group, int first, int last, int64_t from, int64_t count, float* to,
                                  int64_t width) {
  const uint8_t* data = w.group(group);
  switch (w.type) {
#define FORMAT(name, number, block, bytes, layout, table)                                                                             \
  case number:                                                                                                                        \
    if constexpr (layout.scale == ScaleKind::none) {                                                                                  \
      for (int64_t k = 0; k < count; ++k)                                                                                             \
        for (int lane = first; lane < last; lane += kLanes)                                                                           \
          store(to + k * width + lane - first, load_weight<number>(data + ((from + k) * kGroupRows + lane) * (number == 0 ? 4 : 2))); \
    } else {                                                                                                                          \
      unpack_coded<layout>(data, w.group_scales(group), table, first, last, from, count, to, width);                                  \
    }                                                                                                                                 \
    break;
    FRUGAL_FORMATS(FORMAT)
#undef FORMAT
    default: break;
  }
}

}  // namespace frugal::FRUGAL_ISA
