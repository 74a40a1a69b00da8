// Packing of stored rows into groups, and reading single rows back out of them (embeddings).
#include "pack.h"

#include "../formats/unpack.h"
#include "tile.h"

namespace frugal::FRUGAL_ISA {

// One code word of each row of a group, whatever the width of the processor's own vectors. Explicit, because compilers make gathers and
// scatters of the same loops for AVX-512, at a third of the speed.
typedef uint32_t Words __attribute__((vector_size(4 * kGroupRows)));

// The bit planes of one block from its codes as words: rows[j][row] holds the codes of inputs 4j..4j+3 of a row.
template <Layout L> static inline void planes(const uint32_t (*rows)[kGroupRows], uint8_t* block) {
  Words word[8], out[L.code_bytes() / 64];
  memcpy(word, rows, sizeof word);
  if constexpr (L.bits == 8)
    for (int j = 0; j < 8; ++j) out[j] = word[j];
  else if constexpr (L.bits >= 4)
    for (int j = 0; j < 4; ++j) out[j] = (word[j] & kNibbles) | (word[j + 4] & kNibbles) << 4;
  else
    for (int j = 0; j < 2; ++j)
      out[j] = (word[4 * j] & kPairs) | (word[4 * j + 1] & kPairs) << 2 | (word[4 * j + 2] & kPairs) << 4 | (word[4 * j + 3] & kPairs) << 6;
  if constexpr (L.bits == 5 || L.bits == 3) {
    Words high = {};
    for (int j = 0; j < 8; ++j) high |= (word[j] >> (L.bits - 1) & kOnes) << j;
    out[L.bits - 1] = high;
  }
  if constexpr (L.bits == 6)
    for (int j = 0; j < 2; ++j)
      out[4 + j] = (word[4 * j] >> 4 & kPairs) | (word[4 * j + 1] >> 4 & kPairs) << 2 | (word[4 * j + 2] >> 4 & kPairs) << 4 |
                   (word[4 * j + 3] >> 4 & kPairs) << 6;
#if defined(__wasm_relaxed_simd__)
  // -128, which no quantiser writes, has no magnitude in 7 bits, so engines would multiply it as they like: it becomes -127.
  if constexpr (L.codes == CodeKind::signed_byte) {
    int8_t* codes = reinterpret_cast<int8_t*>(out);
    for (size_t i = 0; i < sizeof out; ++i) codes[i] = codes[i] < -127 ? int8_t(-127) : codes[i];
  }
#endif
  memcpy(block, out, sizeof out);
}

// One scale, as it is stored, to its place in a column.
static inline void put_scale(uint8_t* column, int row, const uint16_t* half) {
  if constexpr (kScaleBytes == 4) {
    const uint16_t lanes[kLanes] = {*half};
    const float scale = load_half(lanes)[0];
    memcpy(column + 4 * row, &scale, 4);
  } else {
    memcpy(column + 2 * row, half, 2);
  }
}

template <Layout L, int block_inputs, int block_bytes, void (*unpack)(const uint8_t*, Codes&)>
static void pack_group(const uint8_t* rows, size_t stride, int count, int64_t inputs, uint8_t* code_area, uint8_t* scales) {
  constexpr int subs = 32 / L.sub_block, columns = L.minimum ? 2 : 1, parts = block_inputs / 32;
  const int64_t blocks = inputs / 32;
  for (int64_t b = 0; b < blocks; b += parts) {
    alignas(64) uint32_t word[8 * parts][kGroupRows];
    for (int r = 0; r < kGroupRows; ++r) {
      Codes c;
      if (r < count) unpack(rows + r * stride + b / parts * block_bytes, c);
      else memset(&c, 0, sizeof c);
#pragma clang loop vectorize(disable)
      for (int j = 0; j < 8 * parts; ++j) word[j][r] = c.word[j];
      if constexpr (L.scale == ScaleKind::super) {
        uint8_t* super = scales + b / 8 * L.scale_bytes();
        put_scale(super, r, &c.scale[0]);
        if constexpr (L.minimum) put_scale(super + kScaleColumn, r, &c.minimum[0]);
        for (int s = 0; s < 8 * subs; ++s) {
          uint8_t* bytes = super + columns * kScaleColumn + s * columns * 16;
          bytes[r] = c.sub_scale[s];
          if constexpr (L.minimum) bytes[16 + r] = c.sub_minimum[s];
        }
      } else {
        for (int part = 0; part < parts; ++part) {
          uint8_t* at = scales + (b + part) * L.scale_bytes();
          if constexpr (L.scale == ScaleKind::exponent) {
            at[r] = c.sub_scale[part];
          } else {
            put_scale(at, r, &c.scale[part]);
            if constexpr (L.minimum) put_scale(at + kScaleColumn, r, &c.minimum[part]);
          }
        }
      }
    }
    for (int part = 0; part < parts; ++part) planes<L>(word + 8 * part, code_area + (b + part) * L.code_bytes());
  }
}

// Floats: [input][16 rows].
template <class T> static void pack_floats(const uint8_t* rows, size_t stride, int count, int64_t inputs, uint8_t* group) {
  T* out = reinterpret_cast<T*>(group);
  for (int64_t k = 0; k < inputs; ++k)
    for (int r = 0; r < kGroupRows; ++r) {
      T v = 0;
      if (r < count) memcpy(&v, rows + r * stride + k * sizeof(T), sizeof(T));
      out[k * kGroupRows + r] = v;
    }
}

// One row of a group as floats: the format's own decoding, in its order of operations.
template <Layout L>
static void read_row(const uint8_t* code_area, const uint8_t* scales, const int8_t* table, int row, int64_t inputs, float* out) {
  constexpr int subs = 32 / L.sub_block, vectors = 8 / subs;
  const int64_t blocks = inputs / 32;
  const int lane = row / kLanes * kLanes, at = row - lane;
  for (int64_t b = 0; b < blocks; ++b) {
    Bytes q[8];
    load_codes<L>(code_area + b * L.code_bytes(), lane, table, q);
    for (int sub = 0; sub < subs; ++sub) {
      const float scale = load_scale<L>(scales, b, sub, lane)[at];
      float minimum = 0;
      if constexpr (L.minimum) minimum = load_minimum<L>(scales, b, sub, lane)[at];
      for (int j = 0; j < vectors; ++j)
        for (int c = 0; c < 4; ++c) {
          const uint8_t byte = q[sub * vectors + j][4 * at + c];
          int code = byte;
          if constexpr (L.codes != CodeKind::offset) code = kBiasedBytes ? int(byte) - 128 : int(int8_t(byte));
          else if constexpr (L.zero_shift >= 0) code -= 1 << L.zero_shift;
          float v = scale * float(code);
          if constexpr (L.minimum) v -= minimum;
          out[b * 32 + sub * L.sub_block + 4 * j + c] = v;
        }
    }
  }
}
static void read_float_row(const Matrix& w, const uint8_t* group, int row, float* out) {
  const int lane = row / kLanes * kLanes, at = row - lane;
  for (int64_t k = 0; k < w.inputs; ++k)
    out[k] = w.type == 0   ? load_weight<0>(group + (k * kGroupRows + lane) * 4)[at]
             : w.type == 1 ? load_weight<1>(group + (k * kGroupRows + lane) * 2)[at]
                           : load_weight<30>(group + (k * kGroupRows + lane) * 2)[at];
}
static void read_matrix_row(const Matrix& w, int64_t row, float* out) {
  const uint8_t* group = w.group(row / kGroupRows);
  switch (w.type) {
#define FORMAT(name, number, block, bytes, layout, table)                                                        \
  case number:                                                                                                   \
    if constexpr (layout.scale == ScaleKind::none) read_float_row(w, group, int(row % kGroupRows), out);         \
    else read_row<layout>(group, w.group_scales(row / kGroupRows), table, int(row % kGroupRows), w.inputs, out); \
    break;
    FRUGAL_FORMATS(FORMAT)
#undef FORMAT
    default: break;
  }
}

}  // namespace frugal::FRUGAL_ISA

// As PackGroup.
extern "C" void FRUGAL_CAT(frugal_pack_group, FRUGAL_ISA)(int type, const uint8_t* rows, size_t stride, int count, int64_t inputs,
                                                          uint8_t* group, uint8_t* scales) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  static constexpr auto unpack_f32 = nullptr;
  static constexpr auto unpack_f16 = nullptr;
  static constexpr auto unpack_bf16 = nullptr;
  (void)unpack_f32, (void)unpack_f16, (void)unpack_bf16;
  switch (type) {
#define FORMAT(name, number, block, bytes, layout, table)                                                      \
  case number:                                                                                                 \
    if constexpr (number == 0) pack_floats<uint32_t>(rows, stride, count, inputs, group);                      \
    else if constexpr (number == 1 || number == 30) pack_floats<uint16_t>(rows, stride, count, inputs, group); \
    else pack_group<layout, block, bytes, unpack_##name>(rows, stride, count, inputs, group, scales);          \
    break;
    FRUGAL_FORMATS(FORMAT)
#undef FORMAT
    default: break;
  }
}

// gather: y[r] = table[ids[r]]. arrays: table (matrix, or rows of F32), ids [rows], y [rows, channels]; integers: rows of the table.
KERNEL(gather) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &table = step.arrays[0], &ids = step.arrays[1], &y = step.arrays[2];
  const int64_t width = y.last(), known = step.integers[0] >= 0 ? step.integers[0] : table.rows();
  share(step, ids.size(), 1, [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const int64_t id = ids.i()[r];
      if (id < 0 || id >= known) return raise(step, kIdOutOfRange, id);
      if (table.matrix) read_matrix_row(*table.matrix, id, y.f() + r * width);
      else memcpy(y.f() + r * width, table.f() + id * width, size_t(width) * 4);
    }
  });
}
