// map: a small program of maps over numbers, run on pieces that stay in the first cache, so that a chain of maps reads and writes memory once.
// Optimizer steps, gated units and their gradients are such chains; src/backends/core/elementwise.ts writes the program.
// arrays: inputs (each spreads over the results), results, all of the results' shape.
// integers: inputs, results, registers, then for each instruction: kind, to, three registers; then the register of each result.
// Registers 0.. hold the inputs. numbers: two for each instruction.
#include "gate.h"
#include "kernel.h"
#include "spread.h"

namespace frugal::FRUGAL_ISA {

enum MapKind : int {
  kMapAdd,
  kMapSub,
  kMapMul,
  kMapDiv,
  kMapMaximum,
  kMapLess,
  kMapScale,
  kMapExp,
  kMapLog,
  kMapSqrt,
  kMapTanh,
  kMapErf,
  kMapSin,
  kMapCos,
  kMapSelect,
  kMapCopy,
  kMapGate,  // and the kinds of gate.h behind it
};
constexpr int64_t kPiece = 256;

template <class F> static inline void over(float* to, int64_t n, F f) {
  for (int64_t i = 0; i < n; i += kLanes) store(to + i, f(i));
}

// Whole vectors of kPiece: what lies behind n is computed and not used.
static inline void map_piece(int kind, float* to, const float* a, const float* b, const float* c, const float* numbers, int64_t n) {
  switch (kind) {
    case kMapAdd: return over(to, n, [&](int64_t i) { return load(a + i) + load(b + i); });
    case kMapSub: return over(to, n, [&](int64_t i) { return load(a + i) - load(b + i); });
    case kMapMul: return over(to, n, [&](int64_t i) { return load(a + i) * load(b + i); });
    case kMapDiv: return over(to, n, [&](int64_t i) { return load(a + i) / load(b + i); });
    case kMapMaximum: return over(to, n, [&](int64_t i) { return max(load(a + i), load(b + i)); });
    case kMapLess: return over(to, n, [&](int64_t i) { return load(a + i) < load(b + i) ? splat(1) : splat(0); });
    case kMapScale: return over(to, n, [&](int64_t i) { return load(a + i) * splat(numbers[0]) + splat(numbers[1]); });
    case kMapExp: return over(to, n, [&](int64_t i) { return exp(load(a + i)); });
    case kMapLog: return over(to, n, [&](int64_t i) { return log(load(a + i)); });
    case kMapSqrt: return over(to, n, [&](int64_t i) { return sqrt(load(a + i)); });
    case kMapTanh: return over(to, n, [&](int64_t i) { return tanh(load(a + i)); });
    case kMapErf: return over(to, n, [&](int64_t i) { return erf(load(a + i)); });
    case kMapSin: return over(to, n, [&](int64_t i) { return sin_or_cos(load(a + i), true); });
    case kMapCos: return over(to, n, [&](int64_t i) { return sin_or_cos(load(a + i), false); });
    case kMapSelect: return over(to, n, [&](int64_t i) { return load(a + i) != splat(0) ? load(b + i) : load(c + i); });
    case kMapCopy: return over(to, n, [&](int64_t i) { return load(a + i); });
    default: return over(to, n, [&](int64_t i) { return gated(kind - kMapGate, load(a + i)); });
  }
}

}  // namespace frugal::FRUGAL_ISA

KERNEL(map) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const int inputs = step.integers[0], results = step.integers[1], registers = step.integers[2];
  const int count = (step.integer_count - 3 - results) / 5;
  const int32_t *instructions = step.integers + 3, *result_registers = instructions + 5 * count;
  const Array& y = step.arrays[inputs];
  float* scratch = reinterpret_cast<float*>(step.scratch);
  if (step.scratch_bytes < size_t(registers) * kPiece * 4) return raise(step, kScratchTooSmall);
  bool flat = true;
  for (int i = 0; i < inputs; ++i) flat = flat && (step.arrays[i].size() == y.size() || step.arrays[i].size() == 1);
  const int64_t width = flat ? y.size() : y.last(), rows = width > 0 ? y.size() / width : 0;

  const auto piece = [&](int64_t row, int64_t from, int64_t n) {
    // A last short vector is read and written by its own length.
    for (int i = 0; i < inputs; ++i) {
      const Array& x = step.arrays[i];
      float* to = scratch + i * kPiece;
      const bool same = x.size() == y.size();
      if (same || x.last() == width) memcpy(to, x.f() + (same ? row * width : spread_row(y, x, row)) + from, size_t(n) * 4);
      else over(to, n, [v = splat(x.f()[flat ? 0 : spread_row(y, x, row)])](int64_t) { return v; });
      for (int64_t k = n; k % kLanes != 0; ++k) to[k] = 0;
    }
    for (int i = 0; i < count; ++i) {
      const int32_t* at = instructions + 5 * i;
      map_piece(at[0], scratch + at[1] * kPiece, scratch + at[2] * kPiece, scratch + at[3] * kPiece, scratch + at[4] * kPiece,
                step.numbers + 2 * i, n);
    }
    for (int i = 0; i < results; ++i)
      memcpy(step.arrays[inputs + i].f() + row * width + from, scratch + result_registers[i] * kPiece, size_t(n) * 4);
  };
  if (rows == 1) {
    share(step, width, 16 * kPiece, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; i += kPiece) piece(0, i, last - i < kPiece ? last - i : kPiece);
    });
    return;
  }
  share(step, rows, row_grain(4 * width), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r)
      for (int64_t i = 0; i < width; i += kPiece) piece(r, i, width - i < kPiece ? width - i : kPiece);
  });
}
