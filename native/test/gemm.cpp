// Products of float matrices against sums in double: every way of storing the operands, alone and with what is added.
#include "compare.h"
#include "stored.h"

namespace frugal::test {

static std::vector<float> turned(const std::vector<float>& x, int64_t rows, int64_t columns) {
  std::vector<float> y(x.size());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) y[size_t(c * rows + r)] = x[size_t(r * columns + c)];
  return y;
}

struct Shape {
  int64_t m, n, k;
};

static void check_gemm(const KernelSet& set, int threads, const Shape& s, bool x_turned, bool w_turned, float alpha, bool adds) {
  Random random(s.m * 31 + s.n * 7 + s.k);
  const std::vector<float> x = random.normals(s.m * s.k), w = random.normals(s.n * s.k), r = random.normals(s.m * s.n);
  Trial trial(set, threads);
  trial.scratch(size_t(4) << 20);
  const Place a = x_turned ? trial.input(turned(x, s.m, s.k), {s.k, s.m}) : trial.input(x, {s.m, s.k});
  const Place b = w_turned ? trial.input(turned(w, s.n, s.k), {s.k, s.n}) : trial.input(w, {s.n, s.k});
  const Place residual = adds ? trial.input(r, {s.m, s.n}) : nothing(), y = trial.output({s.m, s.n});
  trial.step(kKernel_gemm, {a, b, y, residual}, {x_turned, w_turned, 0}, {alpha});
  trial.must_run();
  const std::vector<float> result = trial.copy(y);
  for (int64_t m = 0; m < s.m; ++m)
    for (int64_t n = 0; n < s.n; ++n) {
      double sum = 0, magnitude = 1e-30;
      for (int64_t k = 0; k < s.k; ++k) {
        const double product = double(x[size_t(m * s.k + k)]) * w[size_t(n * s.k + k)];
        sum += product;
        magnitude += fabs(product);
      }
      const double wanted = alpha * sum + (adds ? r[size_t(m * s.n + n)] : 0), bound = fabs(alpha) * magnitude + fabs(wanted);
      CHECK(fabs(result[size_t(m * s.n + n)] - wanted) <= double(s.k + 4) * 0x1p-24 * bound,
            "%lld x %lld x %lld, element %lld %lld: %g, not %g", whole(s.m), whole(s.n), whole(s.k), whole(m), whole(n),
            result[size_t(m * s.n + n)], wanted);
    }
}

KERNEL_TEST(gemm) {
  for (const Shape& s : {Shape{1, 1, 1}, Shape{3, 5, 7}, Shape{29, 33, 64}, Shape{300, 31, 17}, Shape{15, 1100, 9}, Shape{64, 40, 1030}})
    for (const bool x_turned : {false, true})
      for (const bool w_turned : {false, true}) {
        describe(print("%s %lld x %lld x %lld, %d %d", set.name, whole(s.m), whole(s.n), whole(s.k), x_turned, w_turned));
        check_gemm(set, 1, s, x_turned, w_turned, 1, false);
        check_gemm(set, 2, s, x_turned, w_turned, -0.5f, true);
      }
  check_gemm(set, 2, {5, 6, 0}, false, false, 1, true);
}

// What a product adds to lies in its result already: the same bits whatever the threads, and with a residual instead.
KERNEL_TEST(gemm_adds) {
  for (const Shape& s : {Shape{2, 3, 4}, Shape{150, 90, 33}, Shape{40, 300, 600}, Shape{5, 70, 0}, Shape{0, 5, 3}, Shape{5, 0, 3}}) {
    describe(print("%s %lld x %lld x %lld", set.name, whole(s.m), whole(s.n), whole(s.k)));
    Random random(s.m);
    const std::vector<float> x = random.normals(s.m * s.k), w = random.normals(s.n * s.k), r = random.normals(s.m * s.n);
    const Results got = with_any_threads([&](int threads) {
      Trial trial(set, threads);
      trial.scratch(size_t(4) << 20);
      const Place a = trial.input(x, {s.m, s.k}), b = trial.input(w, {s.n, s.k}), held = trial.input(r, {s.m, s.n}),
                  y = trial.output({s.m, s.n}), added = trial.output({s.m, s.n}), bare = trial.output({s.m, s.n});
      trial.step(kKernel_copy, {held, added});
      trial.step(kKernel_gemm, {a, b, y, held}, {0, 0, 0}, {0.5f});
      trial.step(kKernel_gemm, {a, b, added, nothing()}, {0, 0, 1}, {0.5f});
      trial.step(kKernel_gemm, {a, b, bare, nothing()}, {0, 0, 0}, {0.5f});
      trial.must_run();
      return Results{trial.copy(y), trial.copy(added), trial.copy(bare)};
    });
    for (size_t i = 0; i < r.size(); ++i) {
      const float wanted = got[2][i] + r[i];
      for (const size_t which : {0, 1})
        CHECK(fabsf(got[which][i] - wanted) <= 1e-5f * fmaxf(fabsf(wanted), float(s.k)), "result %zu, element %zu: %g, not %g", which, i,
              got[which][i], wanted);
    }
  }
}

// Packed weights as they are and turned, against the decoded numbers.
KERNEL_TEST(gemm_stored) {
  for (const Format& format : formats())
    for (const bool turned_weight : {false, true}) {
      const int64_t outputs = 41, inputs = 2 * format.least(), rows = 19;
      Random random(format.type);
      const auto stored = random_rows(format, outputs, inputs, random);
      const auto weights = decode(format, stored.data(), outputs * inputs);
      const int64_t inner = turned_weight ? outputs : inputs, columns = turned_weight ? inputs : outputs;
      const std::vector<float> x = random.normals(rows * inner);
      describe(print("%s %s %d", set.name, format.name, turned_weight));
      Trial trial(set, 2);
      trial.scratch(size_t(4) << 20);
      const Place w = trial.matrix(format.type, outputs, inputs, stored), a = trial.input(x, {rows, inner}),
                  y = trial.output({rows, columns});
      trial.step(kKernel_gemm, {a, w, y, nothing()}, {0, turned_weight, 0}, {1});
      trial.must_run();
      const std::vector<float> result = trial.copy(y);
      for (int64_t m = 0; m < rows; ++m)
        for (int64_t n = 0; n < columns; ++n) {
          double sum = 0, magnitude = 1e-30;
          for (int64_t k = 0; k < inner; ++k) {
            const Element& e = weights[size_t(turned_weight ? k * inputs + n : n * inputs + k)];
            sum += e.value() * x[size_t(m * inner + k)];
            magnitude += e.magnitude() * fabs(x[size_t(m * inner + k)]);
          }
          CHECK(fabs(result[size_t(m * columns + n)] - sum) <= double(inner + 8) * 0x1p-23 * magnitude, "row %lld, column %lld: %g, not %g",
                whole(m), whole(n), result[size_t(m * columns + n)], sum);
        }
    }
}

}  // namespace frugal::test
