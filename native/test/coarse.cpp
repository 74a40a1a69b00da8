// Coarse copies of matrices and products with them, and single elements of exact products.
#include <math.h>
#include <string.h>

#include "../kernels/activations.h"
#include "compare.h"
#include "stored.h"

namespace frugal::test {

static double as_bfloat(double value) {
  const float number = float(value);
  uint32_t bits;
  memcpy(&bits, &number, 4);
  bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
  float rounded;
  memcpy(&rounded, &bits, 4);
  return rounded;
}

// A row as its copy should hold it; false where rounding decides a code.
static bool coarse_row(const Element* row, int64_t inputs, std::vector<double>& copy) {
  double squares = 0, along = 0, length = 0;
  for (int64_t k = 0; k < inputs; ++k) squares += row[k].value() * row[k].value();
  const double step = 0.9957 * ::sqrt(squares / double(inputs));
  bool sure = true;
  for (int64_t k = 0; k < inputs; ++k) {
    const double v = row[k].value(), level = (v >= -step) + (v >= 0) + (v >= step) - 1.5;
    sure = sure && fabs(fabs(v) - step) > 1e-5 * step && (v == 0 || fabs(v) > 1e-6 * step);
    along += v * level;
    length += level * level;
    copy[size_t(k)] = level;
  }
  for (double& level : copy) level *= as_bfloat(along / length);
  return sure;
}

KERNEL_TEST(coarse_products) {
  for (const Format& format : formats())
    for (const int64_t outputs : {1, 16, 77}) {
      const int64_t inputs = format.coded() ? 2 * format.block : 96, rows = 3;
      if (inputs % 32 != 0) continue;
      describe(print("%s %s, %lld outputs", set.name, format.name, whole(outputs)));
      Random random(format.type + outputs);
      const auto stored = random_rows(format, outputs, inputs, random);
      const auto weights = decode(format, stored.data(), outputs * inputs);
      const auto x = random.normals(rows * inputs);
      std::vector<double> taken(static_cast<size_t>(rows * inputs));
      const Results results = with_any_threads([&](int threads) {
        Trial trial(set, threads);
        const Place w = trial.matrix(format.type, outputs, inputs, stored), from = trial.input(x, {rows, inputs}),
                    codes = trial.activations(rows, inputs), y = trial.output({rows, outputs});
        trial.step(kKernel_quantize, {from, codes});
        trial.step(kKernel_coarse_linear, {from, codes, trial.coarse(w), y});
        trial.must_run();
        const Activations a(trial.bound(codes).data(), rows, inputs);
        for (int64_t i = 0; i < rows * inputs; ++i) taken[size_t(i)] = double(a.codes[i]) * a.scale[i / 32];
        return Results{trial.copy(y)};
      });
      std::vector<double> copy(static_cast<size_t>(inputs));
      for (int64_t n = 0; n < outputs; ++n) {
        if (!coarse_row(weights.data() + n * inputs, inputs, copy)) continue;
        for (int64_t m = 0; m < rows; ++m) {
          double sum = 0, magnitude = 0;
          for (int64_t k = 0; k < inputs; ++k) {
            sum += copy[size_t(k)] * taken[size_t(m * inputs + k)];
            magnitude += fabs(copy[size_t(k)] * taken[size_t(m * inputs + k)]);
          }
          // BF16 scales found in F32 and in double may round to neighbours.
          CHECK(fabs(results[0][size_t(m * outputs + n)] - sum) <= 0.005 * magnitude, "row %lld, output %lld: %.9g, should be %.9g",
                whole(m), whole(n), results[0][size_t(m * outputs + n)], sum);
        }
      }
    }
}

KERNEL_TEST(coarse_refused) {
  Random random(1);
  for (const Format& format : formats()) {
    if (format.type != 0) continue;
    Model model(set, 1);
    CHECK(model.add_coarse(0) < 0 && model.add_coarse(-1) < 0, "a copy of no matrix");
    const int odd = model.add_matrix(0, 5, 33, 1), experts = model.add_matrix(0, 6, 32, 2), good = model.add_matrix(0, 5, 32, 1);
    CHECK(model.add_coarse(odd) < 0, "rows that are no whole blocks");
    CHECK(model.add_coarse(experts) < 0, "experts");
    const int copy = model.add_coarse(good);
    CHECK(copy >= 0 && model.add_coarse(good) < 0 && model.add_coarse(copy) < 0, "a second copy");
    // Only its own kernel takes a copy, and it takes nothing else.
    Trial trial(set);
    const Place w = trial.matrix(0, 5, 32, random_rows(format, 5, 32, random)), x = trial.input(random.normals(32), {1, 32}),
                y = trial.output({1, 5});
    trial.step(kKernel_linear, {x, nothing(), trial.coarse(w), nothing(), y, nothing(), nothing()}, {-1});
    CHECK(trial.run().kind == Outcome::bad_binding, "an exact product with a copy");
    Trial other(set);
    const Place matrix = other.matrix(0, 5, 32, random_rows(format, 5, 32, random)), from = other.input(random.normals(32), {1, 32}),
                codes = other.activations(1, 32);
    other.step(kKernel_quantize, {from, codes});
    other.step(kKernel_coarse_linear, {from, codes, matrix, other.output({1, 5})});
    CHECK(other.run().kind == Outcome::bad_binding, "a coarse product with a matrix");
  }
}

KERNEL_TEST(picked_products) {
  for (const Format& format : formats()) {
    describe(print("%s %s", set.name, format.name));
    const int64_t inputs = format.least(), outputs = 53, rows = 3, each = 7;
    Random random(format.type);
    const auto stored = random_rows(format, outputs, inputs, random);
    const auto x = random.normals(rows * inputs);
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < rows * each; ++i) ids.push_back(i == 0 ? 0 : i == 1 ? int32_t(outputs) - 1 : random.below(int(outputs)));
    with_any_threads([&](int threads) {
      Trial trial(set, threads);
      const Place w = trial.matrix(format.type, outputs, inputs, stored), from = trial.input(x, {rows, inputs}),
                  codes = format.coded() ? trial.activations(rows, inputs) : nothing(), all = trial.output({rows, outputs}),
                  some = trial.output({rows, each});
      if (format.coded()) trial.step(kKernel_quantize, {from, codes});
      trial.step(kKernel_linear, {from, codes, w, nothing(), all, nothing(), nothing()}, {-1});
      trial.step(kKernel_picked_linear, {from, codes, w, trial.input(ids, {rows, each}), some});
      trial.must_run();
      for (int64_t i = 0; i < rows * each; ++i) {
        const float *got = trial.floats(some) + i, *wanted = trial.floats(all) + i / each * outputs + ids[size_t(i)];
        CHECK(first_difference(got, wanted, 1) < 0, "element %lld: %.9g, should be %.9g", whole(i), *got, *wanted);
      }
      return Results{trial.copy(some)};
    });
  }
  for (const int32_t id : {-1, 5}) {
    Random random(1);
    Trial trial(set);
    const Place w = trial.matrix(0, 5, 32, random_rows(formats()[0], 5, 32, random));
    trial.step(kKernel_picked_linear, {trial.input(random.normals(32), {1, 32}), nothing(), w,
                                       trial.input(std::vector<int32_t>{0, id}, {1, 2}), trial.output({1, 2})});
    CHECK(trial.run().fault_code == kIdOutOfRange, "row %d was taken", id);
  }
}

}  // namespace frugal::test
