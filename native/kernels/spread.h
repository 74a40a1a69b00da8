// Where a row of a result finds its numbers in an operand that is spread over it.
#pragma once
#include "kernel.h"

namespace frugal::FRUGAL_ISA {

// The offset in x of what row `row` of y reads; dims of x are y's or 1, aligned at the right.
static inline int64_t spread_row(const Array& y, const Array& x, int64_t row) {
  int64_t offset = 0, stride = x.last();
  for (int d = y.rank - 2; d >= 0; --d) {
    const int in_x = d - (y.rank - x.rank);
    const int64_t index = row % y.dim[d];
    row /= y.dim[d];
    if (in_x < 0) continue;
    if (x.dim[in_x] != 1) offset += index * stride;
    stride *= x.dim[in_x];
  }
  return offset;
}

}  // namespace frugal::FRUGAL_ISA
