// Maps over numbers: two operands with broadcasting, one operand, gated units, selection.
#include "gate.h"
#include "kernel.h"
#include "spread.h"

namespace frugal::FRUGAL_ISA {

enum Binary : int { kAdd = 0, kSub = 1, kMul = 2, kDiv = 3, kMaximum = 4, kLess = 5 };
enum Unary : int { kScale = 0, kExp = 1, kLog = 2, kSqrt = 3, kTanhOf = 4, kErf = 5, kSin = 6, kCos = 7 };

static inline F32 binary(int kind, F32 a, F32 b) {
  switch (kind) {
    case kAdd: return a + b;
    case kSub: return a - b;
    case kMul: return a * b;
    case kDiv: return a / b;
    case kMaximum: return a > b ? a : b;
    default: return a < b ? splat(1) : splat(0);
  }
}
static inline F32 unary(int kind, F32 x, float by, float plus) {
  switch (kind) {
    case kScale: return x * splat(by) + splat(plus);
    case kExp: return exp(x);
    case kLog: return log(x);
    case kSqrt: return sqrt(x);
    case kTanhOf: return tanh(x);
    case kErf: return erf(x);
    case kSin: return sin_or_cos(x, true);
    default: return sin_or_cos(x, false);
  }
}

}  // namespace frugal::FRUGAL_ISA

// arrays: a, b, y; integers: kind.
KERNEL(binary) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &a = step.arrays[0], &b = step.arrays[1], &y = step.arrays[2];
  const int64_t width = y.last();
  const bool one = b.last() == 1 && width != 1;
  share(step, y.rows(), row_grain(width), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const float* from = b.f() + spread_row(y, b, r);
      each(a.f() + r * width, width, 0, [&](F32 v, int64_t i, int n) {
        store_first(y.f() + r * width + i, n, binary(step.integers[0], v, one ? splat(from[0]) : load_first(from + i, n, 1)));
      });
    }
  });
}

// arrays: x, y; integers: kind; numbers: by, plus.
KERNEL(unary) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &y = step.arrays[1];
  share(step, x.size(), 16384, [&](int64_t first, int64_t last) {
    each(x.f() + first, last - first, 1,
         [&](F32 v, int64_t i, int n) { store_first(y.f() + first + i, n, unary(step.integers[0], v, step.numbers[0], step.numbers[1])); });
  });
}

// arrays: x, y; integers: kind of activation.
KERNEL(activation) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &y = step.arrays[1];
  share(step, x.size(), 8192, [&](int64_t first, int64_t last) {
    each(x.f() + first, last - first, 0, [&](F32 v, int64_t i, int n) { store_first(y.f() + first + i, n, gated(step.integers[0], v)); });
  });
}

// arrays: gate, up, y; integers: kind.
KERNEL(glu) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &gate = step.arrays[0], &up = step.arrays[1], &y = step.arrays[2];
  share(step, y.size(), 8192, [&](int64_t first, int64_t last) {
    each(gate.f() + first, last - first, 0, [&](F32 v, int64_t i, int n) {
      store_first(y.f() + first + i, n, gated(step.integers[0], v) * load_first(up.f() + first + i, n, 0));
    });
  });
}

// arrays: condition, a, b, y: a where the condition is not 0.
KERNEL(select) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &condition = step.arrays[0], &a = step.arrays[1], &b = step.arrays[2], &y = step.arrays[3];
  share(step, y.size(), 16384, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) y.f()[i] = condition.f()[i] != 0 ? a.f()[i] : b.f()[i];
  });
}

// Raises a fault where a number is not finite. arrays: x.
KERNEL(check_finite) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array& x = step.arrays[0];
  share(step, x.size(), 65536, [&](int64_t first, int64_t last) {
    F32 zero = splat(0);  // x * 0 is 0 for finite x and NaN otherwise
    each(x.f() + first, last - first, 0, [&](F32 v, int64_t, int) { zero += v * splat(0); });
    if (sum(zero) != 0) raise(step, kNotFinite);
  });
}
