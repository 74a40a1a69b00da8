// How matrices lie in memory when they are multiplied: 16 output rows side by side, so that a vector holds 16 rows x 4 inputs,
// an activation is a 4-byte broadcast, and every output lives in its own lane and adds in the order of the inputs.
//
// A group is 16 rows. Of each block of 32 inputs it holds the codes as vectors of 64 bytes, vector j byte 4*row+c = code of input 4j+c:
//   8 bits: q0..q7            4 bits: low nibbles q0..q3, high nibbles q4..q7       5 bits: those, and a vector whose bit j is the fifth of qj
//   2 bits: fields 0..3 of two vectors are q0..q3, q4..q7       3 bits: those and a vector of third bits       6 bits: nibbles and two vectors of 2-bit fields
// Scales lie apart from the codes, for the whole matrix: inside the groups they break the processor's streams (a GEMV from memory on
// Zen 4, one thread: 30 GB/s apart, 14 GB/s before or behind the codes of a group). F32, F16 and BF16 are simply [input][16 rows].
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace frugal {

constexpr int kGroupRows = 16;
// F16 scales are kept as F32 where no instruction reads F16: 11 operations a vector in WebAssembly, for 6 % more bytes.
#if defined(__wasm__)
constexpr int kScaleBytes = 4;
#else
constexpr int kScaleBytes = 2;
#endif
constexpr int kScaleColumn = kGroupRows * kScaleBytes;

enum class ScaleKind : uint8_t {
  none,      // F32, F16, BF16
  half,      // an F16 for each sub-block
  super,     // an F16 for 256 inputs times a signed byte for each sub-block
  exponent,  // 2^(byte - 128) for each sub-block
};
enum class CodeKind : uint8_t {
  offset,  // value = code - 2^zero_shift (no offset where zero_shift < 0)
  table,   // value = one of 16 signed bytes
  signed_byte,
};

struct Layout {
  int bits;
  int sub_block;  // inputs that share a scale: 16 or 32
  ScaleKind scale;
  bool minimum;  // value = scale * code - minimum
  int zero_shift;
  CodeKind codes;

  constexpr int code_bytes() const { return bits * 64; }  // of a block: 16 * 32 * bits / 8
  constexpr int scale_bytes() const {                     // of a block for half and exponent, of 8 blocks for super
    const int subs = 32 / sub_block, columns = minimum ? 2 : 1;
    return scale == ScaleKind::half       ? subs * columns * kScaleColumn
           : scale == ScaleKind::exponent ? subs * 16
                                          : columns * kScaleColumn + 8 * subs * columns * 16;
  }
  // Codes of a group; the scales are `scale_area` more.
  constexpr size_t group_bytes(int64_t inputs) const {
    return scale == ScaleKind::none ? size_t(inputs) * kGroupRows * (bits / 8) : size_t(inputs) / 32 * size_t(code_bytes());
  }
  constexpr size_t scale_area(int64_t inputs) const {
    const size_t blocks = size_t(inputs) / 32;
    return scale == ScaleKind::none ? 0 : (scale == ScaleKind::super ? blocks / 8 : blocks) * size_t(scale_bytes());
  }
  // What an integer dot product needs to know: table and signed bytes are multiplied as 8-bit numbers.
  constexpr int dot_bits() const { return codes == CodeKind::offset ? bits : 8; }
};

// The layouts. Formats that differ only in how a file spells them share one.
namespace layouts {
constexpr Layout f32{32, 32, ScaleKind::none, false, -1, CodeKind::offset};
constexpr Layout f16{16, 32, ScaleKind::none, false, -1, CodeKind::offset};
constexpr Layout bf16{16, 32, ScaleKind::none, false, -1, CodeKind::offset};
constexpr Layout q8_0{8, 32, ScaleKind::half, false, -1, CodeKind::signed_byte};
constexpr Layout q4_0{4, 32, ScaleKind::half, false, 3, CodeKind::offset};
constexpr Layout q4_1{4, 32, ScaleKind::half, true, -1, CodeKind::offset};
constexpr Layout q5_0{5, 32, ScaleKind::half, false, 4, CodeKind::offset};
constexpr Layout q5_1{5, 32, ScaleKind::half, true, -1, CodeKind::offset};
constexpr Layout q2_k{2, 16, ScaleKind::super, true, -1, CodeKind::offset};
constexpr Layout q3_k{3, 16, ScaleKind::super, false, 2, CodeKind::offset};
constexpr Layout q4_k{4, 32, ScaleKind::super, true, -1, CodeKind::offset};
constexpr Layout q5_k{5, 32, ScaleKind::super, true, -1, CodeKind::offset};
constexpr Layout q6_k{6, 16, ScaleKind::super, false, 5, CodeKind::offset};
constexpr Layout iq4_nl{4, 32, ScaleKind::half, false, -1, CodeKind::table};
constexpr Layout iq4_xs{4, 32, ScaleKind::super, false, -1, CodeKind::table};
constexpr Layout mxfp4{4, 32, ScaleKind::exponent, false, -1, CodeKind::table};
constexpr Layout tq{2, 32, ScaleKind::half, false, 0, CodeKind::offset};
}  // namespace layouts

// The sixteen values of the table formats.
constexpr int8_t kIq4Table[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
constexpr int8_t kMxfp4Table[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};  // twice the value; the scale is halved

// Every format a matrix can have: FORMAT(name, ggml type, inputs of a stored block, its bytes, layout, table).
#define FRUGAL_FORMATS(FORMAT)                             \
  FORMAT(f32, 0, 1, 4, layouts::f32, nullptr)              \
  FORMAT(f16, 1, 1, 2, layouts::f16, nullptr)              \
  FORMAT(bf16, 30, 1, 2, layouts::bf16, nullptr)           \
  FORMAT(q4_0, 2, 32, 18, layouts::q4_0, nullptr)          \
  FORMAT(q4_1, 3, 32, 20, layouts::q4_1, nullptr)          \
  FORMAT(q5_0, 6, 32, 22, layouts::q5_0, nullptr)          \
  FORMAT(q5_1, 7, 32, 24, layouts::q5_1, nullptr)          \
  FORMAT(q8_0, 8, 32, 34, layouts::q8_0, nullptr)          \
  FORMAT(q2_k, 10, 256, 84, layouts::q2_k, nullptr)        \
  FORMAT(q3_k, 11, 256, 110, layouts::q3_k, nullptr)       \
  FORMAT(q4_k, 12, 256, 144, layouts::q4_k, nullptr)       \
  FORMAT(q5_k, 13, 256, 176, layouts::q5_k, nullptr)       \
  FORMAT(q6_k, 14, 256, 210, layouts::q6_k, nullptr)       \
  FORMAT(iq4_nl, 20, 32, 18, layouts::iq4_nl, kIq4Table)   \
  FORMAT(iq4_xs, 23, 256, 136, layouts::iq4_xs, kIq4Table) \
  FORMAT(tq1_0, 34, 256, 54, layouts::tq, nullptr)         \
  FORMAT(tq2_0, 35, 256, 66, layouts::tq, nullptr)         \
  FORMAT(mxfp4, 39, 32, 17, layouts::mxfp4, kMxfp4Table)

// The type of coarse copies (kernels/coarse.cpp), which no file has.
constexpr int kCoarseType = 1 << 20;

// A matrix as it lies in memory.
struct Matrix {
  const uint8_t *data = nullptr, *scales = nullptr;
  int type = 0;  // ggml's number
  int64_t rows = 0, inputs = 0;
  size_t group_bytes = 0, scale_bytes = 0;  // of a group
  int64_t experts = 1;                      // that share the rows; the groups of each are its own
  const uint8_t* group(int64_t index) const { return data + size_t(index) * group_bytes; }
  const uint8_t* group_scales(int64_t index) const { return scales + size_t(index) * scale_bytes; }
};

}  // namespace frugal
