// Maps over numbers of odd sizes: operands that are spread, gated units, selection, the guard against what is not finite.
#include <math.h>

#include "random.h"
#include "trial.h"

namespace frugal::test {

static float apply(int kind, float a, float b) {
  switch (kind) {
    case 0: return a + b;
    case 1: return a - b;
    case 2: return a * b;
    case 3: return a / b;
    case 4: return a > b ? a : b;
    default: return a < b ? 1.0f : 0.0f;
  }
}

// Element `index` of y in an operand whose dims are y's or 1, aligned at the right.
static size_t spread(const std::vector<int64_t>& y, const std::vector<int64_t>& x, int64_t index) {
  int64_t at = 0, stride = 1;
  for (int64_t d = int64_t(y.size()) - 1, e = int64_t(x.size()) - 1; e >= 0; --d, --e) {
    const int64_t i = index % y[size_t(d)];
    index /= y[size_t(d)];
    if (x[size_t(e)] != 1) at += i * stride;
    stride *= x[size_t(e)];
  }
  return size_t(at);
}
static int64_t size_of(const std::vector<int64_t>& dims) {
  int64_t n = 1;
  for (const int64_t dim : dims) n *= dim;
  return n;
}

struct Spread {
  std::vector<int64_t> y, x;
};
static const std::vector<Spread>& spreads() {
  static const std::vector<Spread> all = {
      {{1}, {1}},
      {{7, 5}, {7, 5}},
      {{7, 5}, {5}},
      {{7, 5}, {7, 1}},
      {{7, 5}, {1, 1}},
      {{7, 5}, {1}},
      {{7, 1}, {1}},
      {{3, 4, 33}, {4, 1}},
      {{3, 4, 33}, {3, 1, 33}},
      {{2, 3, 4, 17}, {2, 1, 4, 1}},
      {{2, 3, 4, 17}, {3, 1, 17}},
      {{40, 1000}, {1000}},
      {{1, 40000}, {1}},
  };
  return all;
}

KERNEL_TEST(binary) {
  for (const Spread& shape : spreads())
    for (int kind = 0; kind < 6; ++kind) {
      describe(print("%s, kind %d, %lld and %lld elements", set.name, kind, whole(size_of(shape.y)), whole(size_of(shape.x))));
      Random random(kind);
      const auto a = random.normals(size_of(shape.y));
      auto b = random.normals(size_of(shape.x));
      b[0] = a[0];
      for (const int threads : kThreadCounts) {
        Trial trial(set, threads);
        const Place y = trial.output(shape.y);
        trial.step(kKernel_binary, {trial.input(a, shape.y), trial.input(b, shape.x), y}, {kind});
        trial.must_run();
        for (int64_t i = 0; i < size_of(shape.y); ++i) {
          const float expected = apply(kind, a[size_t(i)], b[spread(shape.y, shape.x, i)]), got = trial.floats(y)[i];
          CHECK(got == expected, "element %lld: %.9g, should be %.9g", whole(i), got, expected);
        }
      }
    }
}

KERNEL_TEST(broadcast) {
  for (const Spread& shape : spreads()) {
    describe(print("%s, %lld of %lld elements", set.name, whole(size_of(shape.y)), whole(size_of(shape.x))));
    Random random(1);
    const auto x = random.normals(size_of(shape.x));
    Trial trial(set, 2);
    const Place y = trial.output(shape.y);
    trial.step(kKernel_broadcast, {trial.input(x, shape.x), y});
    trial.must_run();
    for (int64_t i = 0; i < size_of(shape.y); ++i) CHECK(trial.floats(y)[i] == x[spread(shape.y, shape.x, i)], "element %lld", whole(i));
  }
}

constexpr int64_t kSizes[] = {0, 1, 3, 4, 5, 15, 16, 17, 33, 100, 8193, 16385};

KERNEL_TEST(maps_of_odd_sizes) {
  for (const int64_t size : kSizes)
    for (const int threads : kThreadCounts) {
      describe(print("%s, %lld elements, %d threads", set.name, whole(size), threads));
      Random random(size);
      const auto x = random.normals(size), up = random.normals(size), other = random.normals(size);
      auto condition = random.normals(size);
      for (size_t i = 0; i < condition.size(); i += 2) condition[i] = i % 4 ? 0.0f : -0.0f;
      Trial trial(set, threads);
      const std::vector<int64_t> dims = {size};
      const Place from = trial.input(x, dims), scaled = trial.output(dims), gated = trial.output(dims), unit = trial.output(dims),
                  chosen = trial.output(dims), copied = trial.output(dims);
      trial.step(kKernel_unary, {from, scaled}, {0}, {-2, 0.5});
      trial.step(kKernel_activation, {from, gated}, {3});
      trial.step(kKernel_glu, {from, trial.input(up, dims), unit}, {3});
      trial.step(kKernel_select, {trial.input(condition, dims), from, trial.input(other, dims), chosen});
      trial.step(kKernel_copy, {from, copied});
      trial.must_run();
      for (int64_t i = 0; i < size; ++i) {
        const size_t at = size_t(i);
        const float relu = x[at] > 0 ? x[at] : 0;
        CHECK(trial.floats(scaled)[i] == x[at] * -2 + 0.5f, "scale, element %lld", whole(i));
        CHECK(trial.floats(gated)[i] == relu, "activation, element %lld", whole(i));
        CHECK(trial.floats(unit)[i] == relu * up[at], "gated unit, element %lld", whole(i));
        CHECK(trial.floats(chosen)[i] == (condition[at] != 0 ? x[at] : other[at]), "select, element %lld", whole(i));
        CHECK(trial.floats(copied)[i] == x[at], "copy, element %lld", whole(i));
      }
    }
}

KERNEL_TEST(check_finite) {
  for (const int64_t size : kSizes)
    for (const float bad : {NAN, INFINITY, -INFINITY, 3e38f}) {
      describe(print("%s, %lld elements, %g", set.name, whole(size), bad));
      for (const int64_t at : {int64_t(0), size / 2, size - 1}) {
        std::vector<float> x(size_t(size), -3e38f);
        if (size > 0) x[size_t(at)] = bad;
        Trial trial(set, 2);
        trial.step(kKernel_check_finite, {trial.input(x, {size})});
        const Outcome outcome = trial.run();
        const bool finite = size == 0 || isfinite(bad);
        CHECK(finite ? outcome.kind == Outcome::done : outcome.kind == Outcome::fault && outcome.fault_code == kNotFinite,
              "at %lld: outcome %d, fault %d", whole(at), int(outcome.kind), outcome.fault_code);
      }
    }
}

}  // namespace frugal::test
