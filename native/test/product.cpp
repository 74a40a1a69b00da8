// Products of every format against a sum in double, and the same bits whatever the rows beside, the threads and the tile.
#include <math.h>

#include "../kernels/activations.h"
#include "stored.h"
#include "trial.h"

namespace frugal::test {

struct Result {
  std::vector<float> y;       // [rows, outputs]
  std::vector<double> input;  // the numbers that were multiplied: x, or what its codes stand for
};

static Result multiply(const KernelSet& set, int threads, const Format& format, int64_t outputs, int64_t inputs,
                       const std::vector<uint8_t>& stored, const std::vector<float>& x) {
  const int64_t rows = int64_t(x.size()) / inputs;
  Trial trial(set, threads);
  const Place w = trial.matrix(format.type, outputs, inputs, stored), from = trial.input(x, {rows, inputs}),
              y = trial.output({rows, outputs});
  const Place codes = format.coded() ? trial.activations(rows, inputs) : nothing();
  if (format.coded()) trial.step(kKernel_quantize, {from, codes});
  trial.step(kKernel_linear, {from, codes, w, nothing(), y, nothing(), nothing()}, {-1});
  trial.must_run();
  Result result{trial.copy(y), {x.begin(), x.end()}};
  if (format.coded()) {
    const Activations a(trial.bound(codes).data(), rows, inputs);
    for (int64_t i = 0; i < rows * inputs; ++i) result.input[size_t(i)] = double(a.codes[i]) * a.scale[i / 32];
  }
  return result;
}

// Every output within the rounding of its sum: n additions, each at most half a unit in the last place of the sum of magnitudes.
static void compare(const Format& format, const Result& result, int64_t outputs, int64_t inputs, const std::vector<Element>& weights) {
  const int64_t rows = int64_t(result.input.size()) / inputs;
  const double additions = format.coded() ? double(inputs) / 8 + 8 : double(inputs) + 2;
  for (int64_t m = 0; m < rows; ++m)
    for (int64_t n = 0; n < outputs; ++n) {
      double sum = 0, magnitude = 0;
      for (int64_t k = 0; k < inputs; ++k) {
        const Element& w = weights[size_t(n * inputs + k)];
        sum += w.value() * result.input[size_t(m * inputs + k)];
        magnitude += w.magnitude() * fabs(result.input[size_t(m * inputs + k)]);
      }
      const float y = result.y[size_t(m * outputs + n)];
      CHECK(fabs(y - sum) <= additions * 0x1p-24 * magnitude, "row %lld, output %lld: %.9g, should be %.9g", whole(m), whole(n), y, sum);
    }
}

static void check_shape(const KernelSet& set, const Format& format, int64_t outputs, int64_t inputs,
                        const std::vector<int64_t>& row_counts) {
  Random random(format.type * 1000 + outputs);
  const auto stored = random_rows(format, outputs, inputs, random);
  const auto weights = decode(format, stored.data(), outputs * inputs);
  const int64_t most = row_counts.back();
  std::vector<float> x = random.normals(most * inputs);
  for (int64_t i = 0; i < 32; ++i) x[size_t(i)] = 0;  // a block without a scale
  const auto at = [&](int64_t rows, int threads) {
    return print("%s %s, %lld rows, %lld x %lld, %d threads", set.name, format.name, whole(rows), whole(outputs), whole(inputs), threads);
  };

  describe(at(most, 1));
  const Result all = multiply(set, 1, format, outputs, inputs, stored, x);
  compare(format, all, outputs, inputs, weights);
  const auto same = [&](int64_t first, int64_t rows, int threads) {
    describe(at(rows, threads));
    const Result some =
        multiply(set, threads, format, outputs, inputs, stored, {x.begin() + first * inputs, x.begin() + (first + rows) * inputs});
    const int64_t bad = first_difference(some.y.data(), all.y.data() + first * outputs, rows * outputs);
    CHECK(bad < 0, "element %lld is %.9g, but %.9g among more rows", whole(bad), some.y[size_t(bad)], all.y[size_t(first * outputs + bad)]);
  };
  for (const int64_t rows : row_counts) same(0, rows, 1);
  same(most - 1, 1, 1);
  for (const int threads : kThreadCounts) same(0, most, threads), same(most / 2, 1, threads);
}

KERNEL_TEST(product_rows) {
  for (const Format& format : formats())
    check_shape(set, format, 33, 2 * format.least(), {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17});
}

#if defined(__aarch64__)
// All sets of NEON have 4 lanes, so their bits agree, whichever instruction multiplies.
TEST(product_sets_agree) {
  const char* names[8];
  const int count = available_kernels(names, 8);
  for (const Format& format : formats()) {
    Random random(format.type);
    const int64_t inputs = 2 * format.least(), outputs = 20;
    const auto stored = random_rows(format, outputs, inputs, random);
    const std::vector<float> x = random.normals(13 * inputs);
    const Result first = multiply(*choose_kernels(names[0]), 1, format, outputs, inputs, stored, x);
    for (int i = 1; i < count; ++i) {
      describe(print("%s and %s, %s", names[0], names[i], format.name));
      const Result other = multiply(*choose_kernels(names[i]), 1, format, outputs, inputs, stored, x);
      const int64_t bad = first_difference(other.y.data(), first.y.data(), int64_t(first.y.size()));
      CHECK(bad < 0, "element %lld is %.9g and %.9g", whole(bad), first.y[size_t(bad)], other.y[size_t(bad)]);
    }
  }
}
#endif

KERNEL_TEST(product_outputs) {
  for (const Format& format : formats())
    for (const int64_t outputs : {1, 15, 16, 17, 64, 79, 130})
      check_shape(set, format, outputs, format.least() * (outputs == 1 ? 3 : 1), {1, 3});
}

// Enough rows for two passes over the groups (256 KB of codes each), and inputs for several super-blocks.
KERNEL_TEST(product_large) {
  for (const int type : {0, 1, 2, 8, 12, 14})
    for (const Format& format : formats())
      if (format.type == type) check_shape(set, format, 20, 2048, {1, 31, 150});
}

// Widths that are not whole vectors exist for floats only.
KERNEL_TEST(product_odd_inputs) {
  for (const int64_t inputs : {1, 3, 31, 37})
    for (const int type : {0, 1, 30})
      for (const Format& format : formats())
        if (format.type == type) {
          Random random(inputs);
          const auto stored = random_rows(format, 19, inputs, random);
          const auto x = random.normals(5 * inputs);
          describe(print("%s %s, %lld inputs", set.name, format.name, whole(inputs)));
          compare(format, multiply(set, 1, format, 19, inputs, stored, x), 19, inputs, decode(format, stored.data(), 19 * inputs));
        }
}

}  // namespace frugal::test
