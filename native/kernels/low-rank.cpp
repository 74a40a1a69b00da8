// Low-rank products of many adapters in one batch: each row takes the numbers of its own slot. Op: src/ops/add-low-rank.ts.
// The sums are those of `linear` with float weights (tile.h), in the same order, so a row has the same bits as in a model that carries its
// adapter's matrices as weights. Rows of one slot that follow each other share a tile.
#include "kernel.h"

namespace frugal::FRUGAL_ISA {

constexpr int kMostRows = kRegisters == 32 ? 8 : 4;
constexpr int64_t kOutputs = 256;

// out[c][i] = sum over k of w[k][c] * x[i][k], as float_tile sums: even and odd k apart.
template <int M, int chunks, class Load>
static inline void low_rank_tile(Load weight, const float* x, int64_t x_stride, int64_t count, F32 (*out)[M]) {
  F32 even[chunks][M], odd[chunks][M];
  for (int c = 0; c < chunks; ++c)
    for (int i = 0; i < M; ++i) even[c][i] = odd[c][i] = splat(0);
  const auto add = [&](F32(*sums)[M], int64_t k) {
#pragma GCC unroll 4
    for (int c = 0; c < chunks; ++c) {
      const F32 w = weight(k, c);
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) sums[c][i] = fma(w, splat(x[i * x_stride + k]), sums[c][i]);
    }
  };
  int64_t k = 0;
  for (; k + 2 <= count; k += 2) {
    add(even, k);
    add(odd, k + 1);
  }
  if (k < count) add(even, k);
  for (int c = 0; c < chunks; ++c)
    for (int i = 0; i < M; ++i) out[c][i] = even[c][i] + odd[c][i];
}

// M rows of y [.., width] = x · w, of columns [from, to), where w is [count, width]; `residual` is added.
template <int M> static void low_rank_rows(const float* w, int64_t width, const float* x, int64_t x_stride, int64_t count, int64_t from,
                                           int64_t to, const float* residual, float* y, int64_t y_stride) {
  constexpr int chunks = M == 1 ? 4 : 1;
  int64_t n = from;
  for (; n + chunks * kLanes <= to; n += chunks * kLanes) {
    F32 out[chunks][M];
    low_rank_tile<M, chunks>([&](int64_t k, int c) { return load(w + k * width + n + c * kLanes); }, x, x_stride, count, out);
    for (int c = 0; c < chunks; ++c)
      for (int i = 0; i < M; ++i) {
        const int64_t at = i * y_stride + n + c * kLanes;
        store(y + at, residual ? out[c][i] + load(residual + at) : out[c][i]);
      }
  }
  for (; n < to; n += kLanes) {
    const int some = to - n < kLanes ? int(to - n) : kLanes;
    F32 out[1][M];
    if (some == kLanes) low_rank_tile<M, 1>([&](int64_t k, int) { return load(w + k * width + n); }, x, x_stride, count, out);
    else low_rank_tile<M, 1>([&](int64_t k, int) { return load_first(w + k * width + n, some, 0); }, x, x_stride, count, out);
    for (int i = 0; i < M; ++i) {
      const int64_t at = i * y_stride + n;
      store_first(y + at, some, residual ? out[0][i] + load_first(residual + at, some, 0) : out[0][i]);
    }
  }
}
using LowRankRows = void (*)(const float*, int64_t, const float*, int64_t, int64_t, int64_t, int64_t, const float*, float*, int64_t);

// Calls work(slot, first row, rows, product of that many) for runs of one slot within [first, last), tile by tile.
template <class F> static inline void each_run(const int32_t* slots, int64_t first, int64_t last, F work) {
  while (first < last) {
    int64_t end = first + 1;
    while (end < last && slots[end] == slots[first]) ++end;
    while (first < end) {
      const int size = end - first >= kMostRows ? kMostRows : end - first >= 4 ? 4 : end - first >= 2 ? 2 : 1;
      const LowRankRows rows = size == 8   ? low_rank_rows < kMostRows == 8 ? 8 : 4 >
                               : size == 4 ? low_rank_rows<4>
                               : size == 2 ? low_rank_rows<2>
                                           : low_rank_rows<1>;
      work(slots[first], first, size, rows);
      first += size;
    }
  }
}

// Rows a piece of work has: few rows are shared out one by one.
static inline int64_t rows_at_once(int64_t rows) { return rows <= 16 ? 1 : kMostRows; }

// Whether all slots are -1 or below `count`, and all ranks of used slots 0 to `most`.
static inline bool good_slots(const Step& step, const Array& slots, const Array& ranks, int64_t most) {
  for (int64_t t = 0; t < slots.size(); ++t) {
    const int32_t slot = slots.i()[t];
    if (slot == -1) continue;
    if (slot < -1 || slot >= ranks.size()) return raise(step, kIdOutOfRange, slot), false;
    const float rank = ranks.f()[slot];
    if (!(rank >= 0 && rank <= float(most))) return raise(step, kIdOutOfRange, most + 1), false;
  }
  return true;
}

}  // namespace frugal::FRUGAL_ISA

// few = A x, for several linears that read the same rows.
// arrays: x [T, inputs], slots [T], then for each linear: a [S, inputs, R], ranks [S], few [T, R], of which each row's first numbers are written
KERNEL(low_rank_down) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &slots = step.arrays[1];
  const int linears = (step.array_count - 2) / 3;
  const int64_t rows = x.rows(), inputs = x.last(), grain = rows_at_once(rows), blocks = (rows + grain - 1) / grain;
  for (int i = 0; i < linears; ++i)
    if (!good_slots(step, slots, step.arrays[3 + 3 * i], step.arrays[4 + 3 * i].last())) return;
  share(step, linears * blocks, 1, [&](int64_t piece, int64_t) {
    const Array* arrays = step.arrays + 2 + 3 * (piece / blocks);
    const int64_t most = arrays[2].last(), top = piece % blocks * grain, bottom = top + grain < rows ? top + grain : rows;
    each_run(slots.i(), top, bottom, [&](int32_t slot, int64_t row, int, LowRankRows product) {
      if (slot < 0) return;
      const int64_t rank = int64_t(arrays[1].f()[slot]);
      product(arrays[0].f() + slot * inputs * most, rank, x.f() + row * inputs, inputs, inputs, 0, rank, nullptr,
              arrays[2].f() + row * most, most);
    });
  });
}

// result = y + B few, for several linears. result may be y.
// arrays: slots [T], then for each linear: few [T, R], b [S, R, outputs], ranks [S], y [T, outputs], result [T, outputs]
KERNEL(low_rank_up) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array& slots = step.arrays[0];
  const int linears = (step.array_count - 1) / 5;
  const int64_t rows = slots.size(), grain = rows_at_once(rows), blocks = (rows + grain - 1) / grain;
  int64_t pieces = 0;
  for (int i = 0; i < linears; ++i) {
    if (!good_slots(step, slots, step.arrays[3 + 5 * i], step.arrays[1 + 5 * i].last())) return;
    pieces += blocks * ((step.arrays[5 + 5 * i].last() + kOutputs - 1) / kOutputs);
  }
  share(step, pieces, 1, [&](int64_t piece, int64_t) {
    const Array* arrays = step.arrays + 1;
    for (;; arrays += 5) {
      const int64_t own = blocks * ((arrays[4].last() + kOutputs - 1) / kOutputs);
      if (piece < own) break;
      piece -= own;
    }
    const int64_t most = arrays[0].last(), outputs = arrays[4].last(), from = piece / blocks * kOutputs,
                  to = from + kOutputs < outputs ? from + kOutputs : outputs;
    const int64_t top = piece % blocks * grain, bottom = top + grain < rows ? top + grain : rows;
    each_run(slots.i(), top, bottom, [&](int32_t slot, int64_t row, int count, LowRankRows product) {
      const float* y = arrays[3].f() + row * outputs;
      float* result = arrays[4].f() + row * outputs;
      const int64_t rank = slot < 0 ? 0 : int64_t(arrays[2].f()[slot]);
      if (rank > 0)
        return product(arrays[1].f() + slot * most * outputs, outputs, arrays[0].f() + row * most, most, rank, from, to, y, result,
                       outputs);
      if (y == result) return;
      for (int i = 0; i < count; ++i) memcpy(result + i * outputs + from, y + i * outputs + from, size_t(to - from) * 4);
    });
  });
}

// Numbers of one slot of a weight; what is behind them in the slot stays. arrays: numbers [n], slot [1], weight [S, ...]
KERNEL(write_slot) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &numbers = step.arrays[0], &weight = step.arrays[2];
  const int64_t slot = step.arrays[1].i()[0], each = weight.size() / weight.dim[0];
  if (slot < 0 || slot >= weight.dim[0]) return raise(step, kIdOutOfRange, slot);
  share(step, numbers.size(), 65536,
        [&](int64_t first, int64_t last) { memcpy(weight.f() + slot * each + first, numbers.f() + first, size_t(last - first) * 4); });
}
