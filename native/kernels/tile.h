// The inner loops of every matrix product: M activation rows times 16 weight rows of one layout.
// Each output is acc = fma(integer dot product of a sub-block, weight scale * activation scale, acc), sub-blocks in order,
// and the same for minima: whatever M, thread or chunk, the same bits.
#pragma once
#include "../formats/packed.h"
#include "activations.h"
#include "kernel.h"

namespace frugal::FRUGAL_ISA {

// The 8 code vectors of a block, for kLanes rows from `lane`.
template <Layout L> static inline void load_codes(const uint8_t* block, int lane, const int8_t* table, Bytes* q) {
  const uint8_t* p = block + 4 * lane;
  const auto at = [&](int i) { return load_bytes(p + 64 * i); };
  if constexpr (L.bits == 8) {
    for (int j = 0; j < 8; ++j) q[j] = at(j);
  } else if constexpr (L.bits >= 4) {
    const Bytes low = splat_byte(15);
    for (int j = 0; j < 4; ++j) {
      const Bytes v = at(j);
      q[j] = v & low;
      q[j + 4] = shift_right<4>(v) & low;
    }
  } else {
    const Bytes low = splat_byte(3);
    for (int j = 0; j < 2; ++j) {
      const Bytes v = at(j);
      q[4 * j] = v & low;
      q[4 * j + 1] = shift_right<2>(v) & low;
      q[4 * j + 2] = shift_right<4>(v) & low;
      q[4 * j + 3] = shift_right<6>(v) & low;
    }
  }
  if constexpr (L.bits == 5 || L.bits == 3) {
    constexpr int to = L.bits - 1;
    const Bytes h = at(L.bits == 5 ? 4 : 2), mask = splat_byte(1 << to);
    q[0] |= shift_left<to>(h) & mask;
    q[1] |= shift_left<to - 1>(h) & mask;
    if constexpr (to == 4) {
      q[2] |= shift_left<2>(h) & mask;
      q[3] |= shift_left<1>(h) & mask;
      q[4] |= h & mask;
      q[5] |= shift_right<1>(h) & mask;
      q[6] |= shift_right<2>(h) & mask;
      q[7] |= shift_right<3>(h) & mask;
    } else {
      q[2] |= h & mask;
      q[3] |= shift_right<1>(h) & mask;
      q[4] |= shift_right<2>(h) & mask;
      q[5] |= shift_right<3>(h) & mask;
      q[6] |= shift_right<4>(h) & mask;
      q[7] |= shift_right<5>(h) & mask;
    }
  }
  if constexpr (L.bits == 6) {
    const Bytes mask = splat_byte(48);
    for (int j = 0; j < 2; ++j) {
      const Bytes h = at(4 + j);
      q[4 * j] |= shift_left<4>(h) & mask;
      q[4 * j + 1] |= shift_left<2>(h) & mask;
      q[4 * j + 2] |= h & mask;
      q[4 * j + 3] |= shift_right<2>(h) & mask;
    }
  }
  if constexpr (L.codes == CodeKind::table)
    for (int j = 0; j < 8; ++j) q[j] = signed_bytes(lookup(table, q[j]));
  if constexpr (L.codes == CodeKind::signed_byte)
    for (int j = 0; j < 8; ++j) q[j] = signed_bytes(q[j]);
}

// kLanes scales of a column, F16 in files.
static inline F32 load_scales(const uint8_t* column, int lane) {
  if constexpr (kScaleBytes == 4) return load(reinterpret_cast<const float*>(column) + lane);
  else return load_half(reinterpret_cast<const uint16_t*>(column) + lane);
}

// The scale of sub-block `sub` of block `b`, for kLanes rows; `scales` are the group's.
template <Layout L> static inline F32 load_scale(const uint8_t* scales, int64_t b, int sub, int lane) {
  constexpr int subs = 32 / L.sub_block, columns = L.minimum ? 2 : 1;
  if constexpr (L.scale == ScaleKind::half) {
    return load_scales(scales + b * L.scale_bytes() + sub * columns * kScaleColumn, lane);
  } else if constexpr (L.scale == ScaleKind::exponent) {
    const I32 e = load_u8(scales + b * L.scale_bytes() + sub * 16 + lane);
    const I32 normal = (e - 1) << 23, tiny = e == 0 ? splat_i(0x00200000) : splat_i(0x00400000);
    return from_bits(e < 2 ? tiny : normal);
  } else {
    const uint8_t* super = scales + b / 8 * L.scale_bytes();
    const uint8_t* bytes = super + columns * kScaleColumn + (b % 8 * subs + sub) * columns * 16;
    const F32 d = load_scales(super, lane);
    // Unsigned ones have 4 or 6 bits, so that they are read as signed ones too.
    return d * to_float(load_s8(reinterpret_cast<const int8_t*>(bytes) + lane));
  }
}
template <Layout L> static inline F32 load_minimum(const uint8_t* scales, int64_t b, int sub, int lane) {
  constexpr int subs = 32 / L.sub_block;
  if constexpr (L.scale == ScaleKind::half) {
    return load_scales(scales + b * L.scale_bytes() + (2 * sub + 1) * kScaleColumn, lane);
  } else {
    const uint8_t* super = scales + b / 8 * L.scale_bytes();
    const uint8_t* bytes = super + 2 * kScaleColumn + (b % 8 * subs + sub) * 32 + 16;
    return load_scales(super + kScaleColumn, lane) * to_float(load_s8(reinterpret_cast<const int8_t*>(bytes) + lane));
  }
}

// M rows from row m of `a` times the weight rows from `lane` of a group: kLanes of them, or with `chunks` more, all that share a pass over the codes.
template <Layout L, int M, int chunks> static inline void tile(const uint8_t* block, const uint8_t* scales, const int8_t* table,
                                                               const Activations& a, int64_t m, int lane, F32 (*acc)[M]) {
  constexpr int subs = 32 / L.sub_block, vectors = 8 / subs;
  constexpr int shift = L.codes == CodeKind::offset ? L.zero_shift : kBiasedBytes ? 7 : -1;
  const int8_t* codes = a.codes + m * a.inputs;
  const int32_t* minus = subs == 1 ? a.minus32 : a.minus16;
  const float *sums = subs == 1 ? a.sum32 : a.sum16, *activation_scale = a.scale;
  const int64_t blocks = a.blocks, inputs = a.inputs;
  for (int c = 0; c < chunks; ++c)
    for (int i = 0; i < M; ++i) acc[c][i] = splat(0);
  for (int64_t b = 0; b < blocks; ++b, block += L.code_bytes()) {
    if constexpr (M == 1)
      for (int i = 0; i < L.code_bytes(); i += 64) prefetch(block + 4096 + i);
#pragma GCC unroll 4
    for (int c = 0; c < chunks; ++c) {
      const int from = lane + c * kLanes;
      Bytes q[8];
      load_codes<L>(block, from, table, q);
#pragma GCC unroll 2
      for (int sub = 0; sub < subs; ++sub) {
        const F32 scale = load_scale<L>(scales, b, sub, from);
        F32 minimum;
        if constexpr (L.minimum) minimum = -load_minimum<L>(scales, b, sub, from);
#pragma GCC unroll 16
        for (int i = 0; i < M; ++i) {
          const int64_t at = (m + i) * blocks + b;
          I32 start = splat_i(0);
          if constexpr (shift >= 0) start = splat_i(minus[subs * at + sub]) << shift;
          const I32 product = dot<L.dot_bits(), vectors>(q + sub * vectors, codes + i * inputs + b * 32 + sub * 16, start);
          acc[c][i] = fma(to_float(product), scale * splat(activation_scale[at]), acc[c][i]);
          if constexpr (L.minimum) acc[c][i] = fma(minimum, splat(sums[subs * at + sub]), acc[c][i]);
          if constexpr (M > 1) in_order(acc[c][i]);
        }
      }
    }
  }
}

// The same sums for `rows` rows, which lie in memory meanwhile: where registers hold 4 rows beside the codes, unpacking once for 16 gains more than
// that costs (Q4_K, 16 rows in place of 4, one thread of Zen 4: AVX2 78 to 94 GMAC/s, WebAssembly 28 to 44), and one function serves all numbers.
template <Layout L> static inline void tile_of_many(const uint8_t* block, const uint8_t* scales, const int8_t* table, const Activations& a,
                                                    int64_t m, int rows, float* out) {
  constexpr int subs = 32 / L.sub_block, vectors = 8 / subs;
  constexpr int shift = L.codes == CodeKind::offset ? L.zero_shift : kBiasedBytes ? 7 : -1;
  const ptrdiff_t blocks = ptrdiff_t(a.blocks), inputs = ptrdiff_t(a.inputs);
  memset(out, 0, size_t(rows) * kGroupRows * sizeof(float));
  // All 16 weight rows of a block before the next block: in four passes, 2 rows of a head of 178 MB took twice as long.
  for (ptrdiff_t item = 0; item < blocks * (kGroupRows / kLanes); ++item) {
    const ptrdiff_t b = item / (kGroupRows / kLanes);
    const int lane = int(item % (kGroupRows / kLanes)) * kLanes;
    Bytes q[8];
    load_codes<L>(block + b * L.code_bytes(), lane, table, q);
#pragma GCC unroll 2
    for (int sub = 0; sub < subs; ++sub) {
      const F32 scale = load_scale<L>(scales, b, sub, lane);
      F32 minimum;
      if constexpr (L.minimum) minimum = -load_minimum<L>(scales, b, sub, lane);
      const int8_t* codes = a.codes + ptrdiff_t(m) * inputs + b * 32 + sub * 16;
      const float* activation_scale = a.scale + ptrdiff_t(m) * blocks + b;
      const int32_t* minus = (subs == 1 ? a.minus32 : a.minus16) + (ptrdiff_t(m) * blocks + b) * subs + sub;
      const float* sums = (subs == 1 ? a.sum32 : a.sum16) + (ptrdiff_t(m) * blocks + b) * subs + sub;
      // What signed bytes are made into first takes two registers a vector, so they go half by half; integers bear any order.
      constexpr bool halves = L.dot_bits() == 8 && vectors == 8;
      constexpr int last = halves ? 4 : vectors;
      I32 first[16];
      float* acc = out + lane;
      if constexpr (halves) {
        const int8_t* at = codes;
#pragma clang loop unroll(disable)
        for (int i = 0; i < rows; ++i, at += inputs) first[i] = dot<8, 4>(q, at, splat_i(0));
      }
#pragma clang loop unroll(disable)
      for (int i = 0; i < rows; ++i) {
        I32 start = splat_i(0);
        if constexpr (halves) start = first[i];
        if constexpr (shift >= 0) start += splat_i(*minus) << shift;
        const I32 product = dot<L.dot_bits(), last>(q + (sub + 1) * vectors - last, codes + (vectors - last) * 4, start);
        F32 total = fma(to_float(product), scale * splat(*activation_scale), load(acc));
        if constexpr (L.minimum) total = fma(minimum, splat(*sums), total);
        store(acc, total);
        acc += kGroupRows, codes += inputs, activation_scale += blocks, minus += blocks * subs, sums += blocks * subs;
      }
    }
  }
}

// The same for weights stored as floats, [input][16 rows].
template <int type> static inline F32 load_weight(const uint8_t* p) {
  if constexpr (type == 0) return load(reinterpret_cast<const float*>(p));
  else if constexpr (type == 1) return load_half(reinterpret_cast<const uint16_t*>(p));
  else return load_bfloat(reinterpret_cast<const uint16_t*>(p));
}
// Two sums an output, of even and of odd inputs: one chain of additions would wait for itself. (Several groups at once instead cost
// 20 % from memory, as the processor follows one stream best.)
template <int type, int M, int chunks>
static inline void float_tile(const uint8_t* group, const float* x, int64_t inputs, int lane, F32 (*out)[M]) {
  constexpr int bytes = type == 0 ? 4 : 2;
  F32 even[chunks][M], odd[chunks][M];
  for (int c = 0; c < chunks; ++c)
    for (int i = 0; i < M; ++i) even[c][i] = odd[c][i] = splat(0);
  const uint8_t* p = group + lane * bytes;
  const auto add = [&](F32(*sums)[M], int64_t k, const uint8_t* from) {
#pragma GCC unroll 4
    for (int c = 0; c < chunks; ++c) {
      const F32 w = load_weight<type>(from + c * kLanes * bytes);
#pragma GCC unroll 16
      for (int i = 0; i < M; ++i) sums[c][i] = fma(w, splat(x[i * inputs + k]), sums[c][i]);
    }
  };
  int64_t k = 0;
  for (; k + 2 <= inputs; k += 2, p += 2 * kGroupRows * bytes) {
    if constexpr (M == 1) prefetch(p + 4096);
    add(even, k, p);
    add(odd, k + 1, p + kGroupRows * bytes);
  }
  if (k < inputs) add(even, k, p);
  for (int c = 0; c < chunks; ++c)
    for (int i = 0; i < M; ++i) out[c][i] = even[c][i] + odd[c][i];
}

}  // namespace frugal::FRUGAL_ISA
