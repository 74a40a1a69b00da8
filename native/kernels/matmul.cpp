// linear: y_i = act(x · W_iᵀ + bias) (* (x · V_iᵀ)) + residual, for several matrices that read the same rows.
// arrays: x [rows, inputs], activations (null where all weights are floats), then for each product: matrix, second matrix (or null), y, bias (or null), residual (or null)
// integers: for each product the gate's activation kind, or -1.
#include "gate.h"
#include "tile.h"
#if defined(FRUGAL_PAIRS)
#include "pairs.h"
#endif

namespace frugal::FRUGAL_ISA {

// out[i][0..15], i < M: the products of one group.
using Product = void (*)(const Matrix& w, int64_t group, const float* x, const Activations& a, int64_t m, float* out);

template <Layout L> [[gnu::noinline]] static void coded_many(const Matrix& w, int64_t group, const Activations& a, int64_t m, int rows,
                                                             float* out, const int8_t* table) {
  tile_of_many<L>(w.group(group), w.group_scales(group), table, a, m, rows, out);
}
template <Layout L, int M>
static void coded(const Matrix& w, int64_t group, const float*, const Activations& a, int64_t m, float* out, const int8_t* table) {
  if constexpr (M > 1 && kRegisters == 16) return coded_many<L>(w, group, a, m, M, out, table);
  constexpr int chunks = M == 1 ? kGroupRows / kLanes : 1;
  for (int lane = 0; lane < kGroupRows; lane += chunks * kLanes) {
    F32 acc[chunks][M];
    tile<L, M, chunks>(w.group(group), w.group_scales(group), table, a, m, lane, acc);
    for (int c = 0; c < chunks; ++c)
      for (int i = 0; i < M; ++i) store(out + i * kGroupRows + lane + c * kLanes, acc[c][i]);
  }
}
template <int type, int M> static void floats(const Matrix& w, int64_t group, const float* x, const Activations&, int64_t m, float* out) {
  constexpr int chunks = M == 1 ? kGroupRows / kLanes : 1;
  for (int lane = 0; lane < kGroupRows; lane += chunks * kLanes) {
    F32 acc[chunks][M];
    float_tile<type, M, chunks>(w.group(group), x + m * w.inputs, w.inputs, lane, acc);
    for (int c = 0; c < chunks; ++c)
      for (int i = 0; i < M; ++i) store(out + i * kGroupRows + lane + c * kLanes, acc[c][i]);
  }
}

// Rows a tile takes: as many as the registers hold beside the 8 code vectors, or, where those are few, memory.
constexpr int kTileSizes[] = {16, 8, 4, 2, 1};
constexpr bool is_float(int type) { return type == 0 || type == 1 || type == 30; }
constexpr int largest_tile(int type) { return !is_float(type) ? 16 : kRegisters == 32 ? 8 : 4; }

#define ROWS(M) (largest_tile(type) >= M ? &product<type, M> : nullptr)
template <int type, int M>
static void product(const Matrix& w, int64_t group, const float* x, const Activations& a, int64_t m, float* out) {
  if constexpr (M > largest_tile(type)) return;
  else {
#define FORMAT(name, number, block, bytes, layout, table) \
  if constexpr (type == number && layout.scale != ScaleKind::none) coded<layout, M>(w, group, x, a, m, out, table);
    FRUGAL_FORMATS(FORMAT)
#undef FORMAT
    if constexpr (is_float(type)) floats<type, M>(w, group, x, a, m, out);
  }
}
template <int type> static Product find_rows(int size) {
  return size == 16 ? ROWS(16) : size == 8 ? ROWS(8) : size == 4 ? ROWS(4) : size == 2 ? ROWS(2) : ROWS(1);
}
static Product find_product(int type, int size) {
  switch (type) {
#define FORMAT(name, number, block, bytes, layout, table) \
  case number: return find_rows<number>(size);
    FRUGAL_FORMATS(FORMAT)
#undef FORMAT
    default: return nullptr;
  }
}

struct Linear {
  const Matrix *w, *w2;
  float* y;
  int64_t outputs;
  const float *bias, *residual;
  int gate;

  void finish(const float* out, const float* up, int64_t row, int64_t group) const {
    const int64_t column = group * kGroupRows;
    const int64_t left = outputs - column;
    const int n = left < kGroupRows ? int(left) : kGroupRows;
    float* to = y + row * outputs + column;
    if (n == kGroupRows) {
      for (int lane = 0; lane < kGroupRows; lane += kLanes) {
        F32 v = load(out + lane);
        if (bias) v += load(bias + column + lane);
        if (gate >= 0) v = gated(gate, v);
        if (up) v *= load(up + lane);
        if (residual) v += load(residual + row * outputs + column + lane);
        store(to + lane, v);
      }
      return;
    }
    for (int lane = 0; lane < n; lane += kLanes) {
      const int count = n - lane < kLanes ? n - lane : kLanes;
      F32 v = load(out + lane);
      if (bias) v += load_first(bias + column + lane, count, 0);
      if (gate >= 0) v = gated(gate, v);
      if (up) v *= load(up + lane);
      if (residual) v += load_first(residual + row * outputs + column + lane, count, 0);
      store_first(to + lane, count, v);
    }
  }

#if defined(FRUGAL_PAIRS)
  // Rows that are laid in pairs in `scratch`, for groups [first, last); returns how many those are.
  int64_t run_pairs(int64_t first, int64_t last, const Activations& a, int64_t rows, const Step& step) const {
    const PairProduct pairs = find_pairs(w->type);
    if (rows < kPairRows || !pairs.lay || (w2 && w2->type != w->type)) return 0;
    if (pairs.block_bytes * size_t(a.blocks) > step.scratch_bytes) return 0;
    float out[kPairRows * kGroupRows], up[kPairRows * kGroupRows];
    // Groups whose codes stay in the second-level cache while the rows pass.
    const int64_t most = w->group_bytes < size_t(256) << 10 ? int64_t((size_t(256) << 10) / w->group_bytes) : 1;
    const int64_t whole = rows / kPairRows * kPairRows;
    for (int64_t g = first; g < last; g += most)
      for (int64_t m = 0; m < whole; m += kPairRows) {
        pairs.lay(a, m, step.scratch);
        for (int64_t at = g; at < last && at < g + most; ++at) {
          pairs.product(*w, at, step.scratch, pairs.table, out);
          if (w2) pairs.product(*w2, at, step.scratch, pairs.table, up);
          for (int i = 0; i < kPairRows; ++i) finish(out + i * kGroupRows, w2 ? up + i * kGroupRows : nullptr, m + i, at);
        }
      }
    return whole;
  }
#endif

  // The rows from `done` on for groups [first, last).
  void run(int64_t first, int64_t last, const float* x, const Activations& a, int64_t rows, int64_t done) const {
    float out[16 * kGroupRows], up[16 * kGroupRows];
    // Rows whose activations stay in the second-level cache while the groups pass.
    const int64_t block = w->inputs > 0 ? (256 * 1024 / w->inputs + 16) / 16 * 16 : 16;
    for (int64_t top = done; top < rows; top += block) {
      const int64_t bottom = top + block < rows ? top + block : rows;
      for (int64_t g = first; g < last; ++g) {
        int64_t m = top;
        for (const int size : kTileSizes) {
          if (bottom - m < size || size > largest_tile(w->type) || (w2 && size > largest_tile(w2->type))) continue;
          const Product one = find_product(w->type, size), two = w2 ? find_product(w2->type, size) : nullptr;
          for (; bottom - m >= size; m += size) {
            one(*w, g, x, a, m, out);
            if (two) two(*w2, g, x, a, m, up);
            for (int i = 0; i < size; ++i) finish(out + i * kGroupRows, two ? up + i * kGroupRows : nullptr, m + i, g);
          }
        }
      }
    }
  }
};

}  // namespace frugal::FRUGAL_ISA

KERNEL(linear) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  constexpr int kMost = 16;
  const Array& x = step.arrays[0];
  const int64_t rows = x.rows();
  const Activations a(step.arrays[1].data, rows, x.last());
  Linear linears[kMost];
  int64_t starts[kMost + 1] = {0};
  const int count = step.integer_count < kMost ? step.integer_count : kMost;
  for (int i = 0; i < count; ++i) {
    const Array* arrays = step.arrays + 2 + 5 * i;
    linears[i] = {arrays[0].matrix, arrays[1].matrix, arrays[2].f(), arrays[2].last(), arrays[3].f(), arrays[4].f(), step.integers[i]};
    starts[i + 1] = starts[i] + (linears[i].outputs + kGroupRows - 1) / kGroupRows;
  }
  // At least eight pieces a thread where there is enough work, at most 16 groups a piece.
  const int64_t total = starts[count], even = total / (threads * 8);
  const int64_t grain = even < 1 ? 1 : even > 16 ? 16 : even;
  share_parts(step, thread, threads, total, grain, [&](int64_t first, int64_t last) {
    for (int i = 0; i < count; ++i) {
      const int64_t from = first > starts[i] ? first : starts[i], to = last < starts[i + 1] ? last : starts[i + 1];
      if (from >= to) continue;
      int64_t done = 0;
#if defined(FRUGAL_PAIRS)
      done = linears[i].run_pairs(from - starts[i], to - starts[i], a, rows, step);
#endif
      linears[i].run(from - starts[i], to - starts[i], x.f(), a, rows, done);
    }
  });
}

// expertLinear: row t*k+j of y is W[ids[t][j]] · x[t] (or x[t*k+j] where x has that many rows).
// arrays: x, activations or null, matrix (experts one after the other, each padded to whole groups), ids [T, k], y [T*k, outputs]; integers: experts, outputs.
KERNEL(expert_linear) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &ids = step.arrays[3], &y = step.arrays[4];
  const Matrix& w = *step.arrays[2].matrix;
  const Activations a(step.arrays[1].data, x.rows(), x.last());
  const int64_t experts = step.integers[0], outputs = y.last(), groups = (outputs + kGroupRows - 1) / kGroupRows;
  const int64_t routed = ids.size(), each_x = x.rows() == routed ? 1 : ids.last();
  const Product one = find_product(w.type, 1);
  for (int64_t r = 0; r < routed; ++r)
    if (ids.i()[r] < 0 || ids.i()[r] >= experts) return raise(step, kIdOutOfRange, ids.i()[r]);
  // Expert by expert, so that a group is read from memory once for all its rows.
  share(step, experts * groups, 4, [&](int64_t first, int64_t last) {
    for (int64_t at = first; at < last; ++at) {
      const int64_t expert = at / groups, group = at % groups, column = group * kGroupRows;
      const int n = outputs - column < kGroupRows ? int(outputs - column) : kGroupRows;
      for (int64_t r = 0; r < routed; ++r) {
        if (ids.i()[r] != expert) continue;
        float out[kGroupRows];
        one(w, at, x.f(), a, r / each_x, out);
        memcpy(y.f() + r * outputs + column, out, size_t(n) * 4);
      }
    }
  });
}

// pickedMatmul: element (r, j) of y is row ids[r][j] of W · x[r], with the bits that `linear` gives it.
// arrays: x, activations or null, matrix, ids [rows, n], y [rows, n].
KERNEL(picked_linear) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &ids = step.arrays[3], &y = step.arrays[4];
  const Matrix& w = *step.arrays[2].matrix;
  const Activations a(step.arrays[1].data, x.rows(), x.last());
  const Product one = find_product(w.type, 1);
  const int64_t each_row = ids.last();
  share(step, ids.size(), 4, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t id = ids.i()[i];
      if (id < 0 || id >= w.rows) return raise(step, kIdOutOfRange, id);
      float out[kGroupRows];
      one(w, id / kGroupRows, x.f(), a, i / each_row, out);
      y.f()[i] = out[id % kGroupRows];
    }
  });
}

// expertLinear with experts that are activations: one dot product after the other. arrays: x, w [E, outputs, K], ids, y.
KERNEL(expert_matmul) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &w = step.arrays[1], &ids = step.arrays[2], &y = step.arrays[3];
  const int64_t inputs = x.last(), outputs = y.last(), routed = ids.size(), each_x = x.rows() == routed ? 1 : ids.last();
  share(step, routed, 1, [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const int64_t id = ids.i()[r];
      if (id < 0 || id >= w.dim[0]) return raise(step, kIdOutOfRange, id);
      for (int64_t n = 0; n < outputs; ++n) {
        const float* row = w.f() + (id * outputs + n) * inputs;
        F32 sums = splat(0);
        each(x.f() + r / each_x * inputs, inputs, 0,
             [&](F32 v, int64_t i, int count) { sums = fma(v, load_first(row + i, count, 0), sums); });
        y.f()[r * outputs + n] = sum(sums);
      }
    }
  });
}
