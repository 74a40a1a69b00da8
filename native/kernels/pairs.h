// Products of 12 rows by an instruction that multiplies two rows of bytes by two (SMMLA): rows of activations are laid side by side in pairs,
// once for several groups, and so are the codes of two weight rows, in registers. Sums of integers are exact and floats are added in the
// order of tile.h, so the bits are those of any other tile. Vector instructions for a row, 4 outputs and 32 inputs, counted in what clang 16
// makes of it, with SDOT (16 rows) and so: Q4_K 14.2 and 11.6, Q8_0 12.1 and 8.9, Q6_K 20.3 and 15. 16 rows don't fit into 32 registers.
#pragma once
#include "tile.h"

namespace frugal::FRUGAL_ISA {

constexpr int kPairRows = 12;

// 32 inputs of two rows of activations. Lanes 0 and 1 of numbers are the first row's, 2 and 3 the second's.
template <Layout L> struct PairedBlock {
  static constexpr int kSubs = 32 / L.sub_block, kShift = L.codes == CodeKind::offset ? L.zero_shift : -1;
  Bytes codes[4];  // 8 inputs of the first row, and of the second
  F32 scale;
  F32 sums[L.minimum ? kSubs : 0];
  I32 minus[kShift >= 0 ? kSubs : 0];
};

template <Layout L> static void lay_in_pairs(const Activations& a, int64_t m, void* to) {
  using Block = PairedBlock<L>;
  const float* sums = Block::kSubs == 1 ? a.sum32 : a.sum16;
  const int32_t* minus = Block::kSubs == 1 ? a.minus32 : a.minus16;
  Block* block = static_cast<Block*>(to);
  for (int64_t b = 0; b < a.blocks; ++b)
    for (int64_t row = m; row < m + kPairRows; row += 2, ++block) {
      const int8_t* codes = a.codes + row * a.inputs + b * 32;
      for (int half = 0; half < 2; ++half) {
        const Bytes one = load_bytes(codes + 16 * half), two = load_bytes(codes + a.inputs + 16 * half);
        block->codes[2 * half] = low_halves(one, two);
        block->codes[2 * half + 1] = high_halves(one, two);
      }
      const int64_t at = row * a.blocks + b, next = at + a.blocks;
      block->scale = F32{a.scale[at], a.scale[at], a.scale[next], a.scale[next]};
      for (int s = 0; s < Block::kSubs; ++s) {
        const int64_t i = Block::kSubs * at + s, j = Block::kSubs * next + s;
        if constexpr (L.minimum) block->sums[s] = F32{sums[i], sums[i], sums[j], sums[j]};
        if constexpr (Block::kShift >= 0) block->minus[s] = I32{minus[i], minus[i], minus[j], minus[j]} << Block::kShift;
      }
    }
}

// Lanes 0 and 1, or 2 and 3, for both rows of a pair.
static inline F32 twice(F32 v, int half) { return (F32)(half == 0 ? low_halves((Bytes)v, (Bytes)v) : high_halves((Bytes)v, (Bytes)v)); }

// kPairRows rows times the 4 weight rows from `lane` of a group. acc[pair][half]: each row of the pair by each weight row of the half.
template <Layout L> static inline void pair_tile(const uint8_t* block, const uint8_t* scales, const int8_t* table, const PairedBlock<L>* x,
                                                 int64_t blocks, int lane, F32 (*acc)[2]) {
  using Block = PairedBlock<L>;
  constexpr int pairs = kPairRows / 2, vectors = 4 / Block::kSubs;
  for (int p = 0; p < pairs; ++p) acc[p][0] = acc[p][1] = splat(0);
  for (int64_t b = 0; b < blocks; ++b, block += L.code_bytes(), x += pairs) {
    Bytes q[8], w[2][4];
    load_codes<L>(block, lane, table, q);
    for (int j = 0; j < 4; ++j) {
      w[0][j] = low_rows(q[2 * j], q[2 * j + 1]);
      w[1][j] = high_rows(q[2 * j], q[2 * j + 1]);
    }
#pragma GCC unroll 2
    for (int sub = 0; sub < Block::kSubs; ++sub) {
      const F32 scale = load_scale<L>(scales, b, sub, lane), scale_of[2] = {twice(scale, 0), twice(scale, 1)};
      [[maybe_unused]] F32 minimum_of[2];
      if constexpr (L.minimum) {
        const F32 minimum = -load_minimum<L>(scales, b, sub, lane);
        minimum_of[0] = twice(minimum, 0);
        minimum_of[1] = twice(minimum, 1);
      }
#pragma GCC unroll 8
      for (int p = 0; p < pairs; ++p) {
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) {
          I32 product = splat_i(0);
          if constexpr (Block::kShift >= 0) product = x[p].minus[sub];
#pragma GCC unroll 4
          for (int j = 0; j < vectors; ++j) product = dot_pairs(x[p].codes[sub * vectors + j], w[half][sub * vectors + j], product);
          acc[p][half] = fma(to_float(product), scale_of[half] * x[p].scale, acc[p][half]);
          if constexpr (L.minimum) acc[p][half] = fma(minimum_of[half], x[p].sums[sub], acc[p][half]);
        }
        for (int half = 0; half < 2; ++half) in_order(acc[p][half]);
      }
    }
  }
}

// out[row][0..15]: the products of rows laid in pairs with one group.
template <Layout L> static void pair_product(const Matrix& w, int64_t group, const void* x, const int8_t* table, float* out) {
  for (int lane = 0; lane < kGroupRows; lane += kLanes) {
    F32 acc[kPairRows / 2][2];
    pair_tile<L>(w.group(group), w.group_scales(group), table, static_cast<const PairedBlock<L>*>(x), w.inputs / 32, lane, acc);
    for (int p = 0; p < kPairRows / 2; ++p) {
      store(out + 2 * p * kGroupRows + lane, (F32)low_halves((Bytes)acc[p][0], (Bytes)acc[p][1]));
      store(out + (2 * p + 1) * kGroupRows + lane, (F32)high_halves((Bytes)acc[p][0], (Bytes)acc[p][1]));
    }
  }
}

// What pairs of a format need; null functions for formats without codes.
struct PairProduct {
  size_t block_bytes = 0;  // of kPairRows rows
  const int8_t* table = nullptr;
  void (*lay)(const Activations& a, int64_t m, void* to) = nullptr;
  void (*product)(const Matrix& w, int64_t group, const void* x, const int8_t* table, float* out) = nullptr;
};
template <Layout L> static PairProduct pairs_of(const int8_t* table) {
  if constexpr (L.scale == ScaleKind::none) return {};
  else return {sizeof(PairedBlock<L>) * kPairRows / 2, table, lay_in_pairs<L>, pair_product<L>};
}
static inline PairProduct find_pairs(int type) {
  switch (type) {
#define FORMAT(name, number, block, bytes, layout, table) \
  case number: return pairs_of<layout>(table);
    FRUGAL_FORMATS(FORMAT)
#undef FORMAT
    default: return {};
  }
}

}  // namespace frugal::FRUGAL_ISA
