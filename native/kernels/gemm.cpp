// gemm: products of float matrices with many rows, as training has them; gemm.h does the work.
#include "gemm.h"

namespace frugal::FRUGAL_ISA {

// Rows of one operand may be stored as columns.
static Left left_of(const Array& x, bool transposed) { return transposed ? Left{x.f(), 1, x.last()} : Left{x.f(), x.last(), 1}; }
// w is [N, K], or transposed [K, N].
static Right right_of(const Array& w, bool transposed) {
  if (w.matrix) return {nullptr, 0, 0, w.matrix, transposed};
  return transposed ? Right{w.f(), w.last(), 1} : Right{w.f(), 1, w.last()};
}

}  // namespace frugal::FRUGAL_ISA

// y = alpha · x · wᵀ + residual. arrays: x [M, K] (or [K, M]), w [N, K] (or [K, N]) or a matrix, y [M, N], residual or nothing;
// integers: x is stored transposed, w is, whether it adds to what y holds; numbers: alpha.
KERNEL(gemm) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &w = step.arrays[1], &y = step.arrays[2], &residual = step.arrays[3];
  const bool x_transposed = step.integers[0] != 0, w_transposed = step.integers[1] != 0;
  const int64_t m = y.rows(), n = y.last(), k = x_transposed ? x.rows() : x.last();
  if (step.scratch_bytes < kGemmScratch) return raise(step, kScratchTooSmall);
  const Left a = left_of(x, x_transposed);
  const Right b = right_of(w, w_transposed);
  // Pieces of the longer side, large enough that copying the other side's panels for each of them costs little.
  const bool by_rows = m >= n;
  const int64_t side = by_rows ? m : n, unit = by_rows ? kTileRows : kTileColumns, least = 8 * unit;
  int64_t piece = (side + threads * 4 - 1) / (threads * 4);
  piece = (piece < least ? least : piece + unit - 1) / unit * unit;
  share(step, side, piece, [&](int64_t first, int64_t last) {
    Product2 p{y.f(), n, step.numbers[0], residual.f(), n, step.integers[2] != 0};
    if (by_rows) {
      p.c += first * n;
      if (p.residual) p.residual += first * n;
      gemm({a.p + first * a.row, a.row, a.column}, b, last - first, 0, n, k, p, step.scratch);
    } else {
      gemm(a, b, m, first, last, k, p, step.scratch);
    }
  });
}
