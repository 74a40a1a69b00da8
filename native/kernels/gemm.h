// Products of float matrices: C = alpha · A·B + residual, the way of Goto and van de Geijn (2008): panels of A and B are copied into the order
// in which a tile of registers reads them. Every output adds its products in the order of k, in blocks of 512, whatever the tile or thread.
#pragma once
#include "kernel.h"
#include "pack-rows.h"

namespace frugal::FRUGAL_ISA {

// Element (m, k) is p[m * row + k * column]; one of the two is 1.
struct Left {
  const float* p;
  int64_t row, column;
};
// Element (k, n) is p[k * row + n * column], one of the two is 1; or a packed matrix W: its element (n, k), or (k, n) where `by_rows`.
struct Right {
  const float* p;
  int64_t row, column;
  const Matrix* matrix = nullptr;
  bool by_rows = false;
  int64_t first = 0;  // row of W that is row 0 of B, where `by_rows`; a multiple of 16
};
struct Product2 {
  float* c;
  int64_t stride;  // of the rows of c
  float alpha = 1;
  const float* residual = nullptr;  // laid out as c; never c itself
  int64_t residual_stride = 0;
  bool adds = false;  // to what c holds
};

constexpr int kTileRows = kLanes == 16 ? 14 : kRegisters == 32 ? 12 : kLanes == 8 ? 6 : 4, kTileColumns = 2 * kLanes;
constexpr int kPanelRows = (kTileRows + 3) / 4 * 4;  // of A, padded to whole quads
constexpr int64_t kInner = 512, kBlockRows = 16 * kTileRows, kBlockColumns = 1024;
constexpr size_t kGemmScratch = (16 * kPanelRows * kInner + kBlockColumns * kInner) * 4;

typedef float Quad __attribute__((vector_size(16)));

// Four rows of p, `stride` apart, as columns of `to`: to[k * width + 0..3].
static inline void interleave_quad(const float* const* rows, int64_t count, float* __restrict to, int64_t width) {
  int64_t k = 0;
  for (; k + 4 <= count; k += 4) {
    Quad a, b, c, d;
    memcpy(&a, rows[0] + k, 16);
    memcpy(&b, rows[1] + k, 16);
    memcpy(&c, rows[2] + k, 16);
    memcpy(&d, rows[3] + k, 16);
    const Quad ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const Quad cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    const Quad columns[4] = {__builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5), __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
                             __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5), __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)};
    for (int i = 0; i < 4; ++i) memcpy(to + (k + i) * width, &columns[i], 16);
  }
  for (; k < count; ++k)
    for (int i = 0; i < 4; ++i) to[k * width + i] = rows[i][k];
}
// `lines` (at most `width`) lines of `count` numbers, a stride apart, side by side; missing lines are zero.
static inline void interleave(const float* p, int64_t stride, int64_t lines, int64_t count, float* to, int64_t width) {
  alignas(64) static const float zeros[kInner] = {};
  for (int64_t line = 0; line < width; line += 4) {
    const float* rows[4];
    for (int i = 0; i < 4; ++i) rows[i] = line + i < lines ? p + (line + i) * stride : zeros;
    interleave_quad(rows, count, to + line, width);
  }
}

// A tile's worth of rows of A: to[k * kPanelRows + i].
static inline void pack_left(const Left& a, int64_t m, int64_t rows, int64_t k, int64_t count, float* to) {
  if (a.column == 1) return interleave(a.p + m * a.row + k, a.row, rows, count, to, kPanelRows);
  // What lies behind the rows of a panel is never read.
  const float* from = a.p + k * a.column + m;
  if (rows == kTileRows)
    for (int64_t i = 0; i < count; ++i) memcpy(to + i * kPanelRows, from + i * a.column, kTileRows * 4);
  else
    for (int64_t i = 0; i < count; ++i) memcpy(to + i * kPanelRows, from + i * a.column, size_t(rows) * 4);
}

// A tile's worth of columns of B: to[k * kTileColumns + n].
static inline void pack_right(const Right& b, int64_t k, int64_t count, int64_t n, int64_t columns, float* to) {
  if (!b.matrix && b.row == 1) return interleave(b.p + n * b.column + k, b.column, columns, count, to, kTileColumns);
  if (!b.matrix && columns == kTileColumns) {
    const float* from = b.p + k * b.row + n;
    for (int64_t i = 0; i < count; ++i, from += b.row, to += kTileColumns) {
      store(to, load(from));
      store(to + kLanes, load(from + kLanes));
    }
    return;
  }
  if (!b.matrix) {
    for (int64_t i = 0; i < count; ++i) {
      memcpy(to + i * kTileColumns, b.p + (k + i) * b.row + n, size_t(columns) * 4);
      for (int64_t c = columns; c < kTileColumns; ++c) to[i * kTileColumns + c] = 0;
    }
    return;
  }
  const Matrix& w = *b.matrix;
  if (!b.by_rows) {
    // Columns of B are rows of W, which lie side by side already.
    constexpr int width = kTileColumns < kGroupRows ? kTileColumns : kGroupRows;
    for (int64_t c = 0; c < kTileColumns; c += width) {
      if (c >= columns) {
        for (int64_t i = 0; i < count; ++i) memset(to + i * kTileColumns + c, 0, width * 4);
        continue;
      }
      const int part = int((n + c) % kGroupRows);
      unpack_columns(w, (n + c) / kGroupRows, part, part + width, k, count, to + c, kTileColumns);
    }
    return;
  }
  // Rows of B are rows of W: a group at a time, turned round.
  alignas(64) float turned[64 * kGroupRows], rows[kGroupRows * 64];
  const int64_t from = n / 32 * 32, until = (n + columns + 31) / 32 * 32, held = (until > w.inputs ? w.inputs : until) - from;
  for (int64_t i = 0; i < count; i += kGroupRows) {
    unpack_columns(w, (b.first + k + i) / kGroupRows, 0, kGroupRows, from, held, turned, kGroupRows);
    interleave(turned, kGroupRows, held, kGroupRows, rows, 64);
    for (int64_t r = 0; r < kGroupRows && i + r < count; ++r) {
      memcpy(to + (i + r) * kTileColumns, rows + r * 64 + (n - from), size_t(columns) * 4);
      for (int64_t c = columns; c < kTileColumns; ++c) to[(i + r) * kTileColumns + c] = 0;
    }
  }
}

// M rows of a panel of A times a panel of B: one tile of C.
template <int M> static inline void gemm_tile(const float* a, const float* b, int64_t count, float* c, int64_t stride, int columns,
                                              bool starts, bool ends, const Product2& p, const float* residual) {
  F32 sums[M][2];
  for (int i = 0; i < M; ++i) sums[i][0] = sums[i][1] = splat(0);
  for (int64_t k = 0; k < count; ++k, a += kPanelRows, b += kTileColumns) {
    const F32 low = load(b), high = load(b + kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i) {
      const F32 v = splat(a[i]);
      sums[i][0] = fma(v, low, sums[i][0]);
      sums[i][1] = fma(v, high, sums[i][1]);
    }
  }
  if (columns == kTileColumns && p.alpha == 1 && !(ends && residual)) {
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i) {
      float* to = c + i * stride;
      store(to, starts ? sums[i][0] : load(to) + sums[i][0]);
      store(to + kLanes, starts ? sums[i][1] : load(to + kLanes) + sums[i][1]);
    }
    return;
  }
  for (int i = 0; i < M; ++i)
    for (int half = 0; half < 2; ++half) {
      const int from = half * kLanes, n = columns - from < kLanes ? columns - from : kLanes;
      if (n <= 0) break;
      float* to = c + i * stride + from;
      F32 v = sums[i][half];
      const bool whole = n == kLanes;
      if (p.alpha != 1) v *= splat(p.alpha);
      if (!starts) v += whole ? load(to) : load_first(to, n, 0);
      if (ends && residual) {
        const float* r = residual + i * p.residual_stride + from;
        v += whole ? load(r) : load_first(r, n, 0);
      }
      if (whole) store(to, v);
      else store_first(to, n, v);
    }
}
template <int M> static inline void gemm_rows(int rows, const float* a, const float* b, int64_t count, float* c, int64_t stride,
                                              int columns, bool starts, bool ends, const Product2& p, const float* residual) {
  if (rows == M) gemm_tile<M>(a, b, count, c, stride, columns, starts, ends, p, residual);
  else if constexpr (M > 1) gemm_rows<M - 1>(rows, a, b, count, c, stride, columns, starts, ends, p, residual);
}

// One thread's product: rows [0, m), columns [n0, n1), inner size k. `scratch` holds kGemmScratch bytes.
static inline void gemm(const Left& a, const Right& b, int64_t m, int64_t n0, int64_t n1, int64_t k, const Product2& p, void* scratch) {
  float *left = static_cast<float*>(scratch), *right = left + 16 * kPanelRows * kInner;
  if (k == 0) {
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = n0; j < n1; ++j)
        p.c[i * p.stride + j] = (p.adds ? p.c[i * p.stride + j] : 0) + (p.residual ? p.residual[i * p.residual_stride + j] : 0);
    return;
  }
  for (int64_t column = n0; column < n1; column += kBlockColumns) {
    const int64_t end = column + kBlockColumns < n1 ? column + kBlockColumns : n1;
    for (int64_t inner = 0; inner < k; inner += kInner) {
      const int64_t count = k - inner < kInner ? k - inner : kInner;
      const bool starts = inner == 0 && !p.adds, ends = inner + count == k;
      for (int64_t j = column; j < end; j += kTileColumns)
        pack_right(b, inner, count, j, end - j < kTileColumns ? end - j : kTileColumns, right + (j - column) * count);
      for (int64_t row = 0; row < m; row += kBlockRows) {
        const int64_t bottom = row + kBlockRows < m ? row + kBlockRows : m;
        for (int64_t i = row; i < bottom; i += kTileRows)
          pack_left(a, i, bottom - i < kTileRows ? bottom - i : kTileRows, inner, count, left + (i - row) / kTileRows * kPanelRows * count);
        for (int64_t j = column; j < end; j += kTileColumns) {
          const float* panel = right + (j - column) * count;
          const int columns = end - j < kTileColumns ? int(end - j) : kTileColumns;
          for (int64_t i = row; i < bottom; i += kTileRows) {
            const int rows = bottom - i < kTileRows ? int(bottom - i) : kTileRows;
            gemm_rows<kTileRows>(rows, left + (i - row) / kTileRows * kPanelRows * count, panel, count, p.c + i * p.stride + j, p.stride,
                                 columns, starts, ends, p, p.residual ? p.residual + i * p.residual_stride + j : nullptr);
          }
        }
      }
    }
  }
}

}  // namespace frugal::FRUGAL_ISA
