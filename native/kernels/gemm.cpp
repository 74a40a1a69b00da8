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
  // Each piece of one side copies the panels of the other again: cut the side that makes this cheaper. In cycles a number: rows turned in
  // quads half of one, whole vectors far less, stored weights as their rows lie more than one.
  const double left_cost = x_transposed ? 0.1 : 0.5, right_cost = w.matrix ? (w_transposed ? 1.5 : 0.3) : w_transposed ? 0.1 : 0.5;
  const int64_t pieces = threads * 3;
  const bool by_rows = double(n) * right_cost <= double(m) * left_cost;
  const int64_t side = by_rows ? m : n, unit = by_rows ? kTileRows : kTileColumns, least = (by_rows ? 8 : 4) * unit;
  int64_t piece = (side + pieces - 1) / pieces;
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
