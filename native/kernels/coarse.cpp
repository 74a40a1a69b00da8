// Coarse copies of matrices: 2 bits a number, one scale a row, made from the packed matrix when it is loaded. A product with one reads a
// quarter of the bytes of 8-bit weights and says which outputs are worth an exact product. Op: src/ops/coarse-matmul.ts.
//
// A number is one of four: scale * (code - 1.5), code = 0..3. Of numbers like a Gaussian's these levels lose 0.119 of the variance where
// a ternary copy of the same bytes loses 0.190. A group is laid out as 2-bit codes are (formats/packed.h), its scales are 16 BF16.
#include "pack-rows.h"

namespace frugal::FRUGAL_ISA {

constexpr Layout kCoarse{2, 32, ScaleKind::none, false, -1, CodeKind::offset};
// Steps between levels that lose least of a Gaussian, in its standard deviations.
constexpr float kGaussianStep = 0.9957f;

static inline void store_bfloats(uint8_t* to, F32 v) {
  for (int i = 0; i < kLanes; ++i) {
    const float number = v[i];
    uint32_t bits;
    memcpy(&bits, &number, 4);
    const uint16_t high = uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    memcpy(to + 2 * i, &high, 2);
  }
}

// Codes 0..3 of kLanes rows.
static inline I32 coarse_codes(F32 v, F32 step) { return -(I32(v >= -step) + I32(v >= splat(0)) + I32(v >= step)); }

// The rows from `lane` of a group whose numbers are at numbers[input * 16 + row].
static void pack_lanes(const float* numbers, int64_t inputs, int lane, uint8_t* codes, uint8_t* scales) {
  F32 squares = splat(0);
  for (int64_t k = 0; k < inputs; ++k) {
    const F32 v = load(numbers + k * kGroupRows + lane);
    squares = fma(v, v, squares);
  }
  const F32 step = splat(kGaussianStep) * sqrt(squares / splat(float(inputs)));
  F32 along = splat(0), length = splat(0);  // of numbers and levels, of levels and levels
  for (int64_t b = 0; b < inputs / 32; ++b)
    for (int half = 0; half < 2; ++half) {
      I32 plane = splat_i(0);
      for (int field = 0; field < 4; ++field)
        for (int c = 0; c < 4; ++c) {
          const F32 v = load(numbers + (b * 32 + half * 16 + field * 4 + c) * kGroupRows + lane);
          const I32 code = coarse_codes(v, step);
          const F32 level = to_float(code) - splat(1.5f);
          along = fma(v, level, along);
          length = fma(level, level, length);
          plane |= code << (8 * c + 2 * field);
        }
      memcpy(codes + b * kCoarse.code_bytes() + half * 64 + lane * 4, &plane, sizeof plane);
    }
  // The scale that loses least with these codes.
  store_bfloats(scales + 2 * lane, along / length);
}

}  // namespace frugal::FRUGAL_ISA

// As PackCoarse.
extern "C" void FRUGAL_CAT(frugal_pack_coarse, FRUGAL_ISA)(const frugal::Matrix& from, int64_t group, float* numbers, uint8_t* codes,
                                                           uint8_t* scales) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  unpack_columns(from, group, 0, kGroupRows, 0, from.inputs, numbers, kGroupRows);
  for (int lane = 0; lane < kGroupRows; lane += kLanes) pack_lanes(numbers, from.inputs, lane, codes, scales);
}

// coarseMatmul: arrays: x [rows, inputs], activations, coarse matrix, y [rows, outputs].
KERNEL(coarse_linear) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &y = step.arrays[3];
  const Matrix& w = *step.arrays[2].matrix;
  const int64_t rows = x.rows(), outputs = y.last(), groups = (outputs + kGroupRows - 1) / kGroupRows;
  const Activations a(step.arrays[1].data, rows, x.last());
  const int64_t even = groups / (threads * 8), grain = even < 1 ? 1 : even > 64 ? 64 : even;
  share_parts(step, thread, threads, groups, grain, [&](int64_t first, int64_t last) {
    for (int64_t r = 0; r < rows; ++r) {
      const int8_t* codes = a.codes + r * a.inputs;
      const float* activation_scale = a.scale + r * a.blocks;
      float sum = 0;
      for (int64_t b = 0; b < a.blocks; ++b) sum += a.sum32[r * a.blocks + b];
      const F32 middle = splat(-1.5f * sum);
      for (int64_t g = first; g < last; ++g) {
        const uint8_t* block = w.group(g);
        const uint16_t* scales = reinterpret_cast<const uint16_t*>(w.group_scales(g));
        constexpr int chunks = kGroupRows / kLanes;
        F32 acc[chunks];
        for (int c = 0; c < chunks; ++c) acc[c] = middle;
        for (int64_t b = 0; b < a.blocks; ++b, block += kCoarse.code_bytes()) {
          prefetch(block + 4096);
          prefetch(block + 4096 + 64);
#pragma GCC unroll 4
          for (int c = 0; c < chunks; ++c) {
            Bytes q[8];
            load_codes<kCoarse>(block, c * kLanes, nullptr, q);
            const I32 product = dot<2, 8>(q, codes + b * 32, splat_i(0));
            acc[c] = fma(to_float(product), splat(activation_scale[b]), acc[c]);
          }
        }
        for (int c = 0; c < chunks; ++c) {
          const int64_t column = g * kGroupRows + c * kLanes, left = outputs - column;
          const F32 v = acc[c] * load_bfloat(scales + c * kLanes);
          float* to = y.f() + r * outputs + column;
          if (left >= kLanes) store(to, v);
          else if (left > 0) store_first(to, int(left), v);
        }
      }
    }
  });
}
