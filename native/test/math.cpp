// Functions of simd/math.h against libm in double: the worst error over wide ranges, and what happens at the ends.
#include <math.h>

#include "random.h"
#include "trial.h"

namespace frugal::test {

// The numbers of kernels/elementwise.cpp and kernels/gate.h.
struct Function {
  const char* name;
  int kernel, kind;
  double (*exact)(double);
  float low, high;            // the range that is promised
  bool by_exponent;           // points at all scales between 2^-126 and the range's end, else evenly
  double relative, absolute;  // error <= relative * |exact| + absolute
};

static double sigmoid(double x) { return 1 / (1 + ::exp(-x)); }
static double silu(double x) { return x * sigmoid(x); }
static double gelu(double x) { return x * 0.5 * ::erfc(-x * sqrt(0.5)); }
static double gelu_tanh(double x) { return 0.5 * x * (1 + ::tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }
static double quick_gelu(double x) { return x * sigmoid(1.702 * x); }
static double relu(double x) { return x > 0 ? x : 0; }
static double relu2(double x) { return x > 0 ? x * x : 0; }
static double identity(double x) { return x; }

static const Function functions[] = {
    {"exp", kKernel_unary, 1, ::exp, -87, 88, false, 1.5e-7, 0},
    {"exp of small numbers", kKernel_unary, 1, ::exp, -1, 1, true, 1.5e-7, 0},
    {"log", kKernel_unary, 2, ::log, 0, 3e38f, true, 1e-7, 0},
    {"log near 1", kKernel_unary, 2, ::log, 0.5, 2, false, 1e-7, 0},
    {"sqrt", kKernel_unary, 3, ::sqrt, 0, 3e38f, true, 6e-8, 0},
    {"tanh", kKernel_unary, 4, ::tanh, -12, 12, false, 3.5e-7, 0},
    {"tanh of small numbers", kKernel_unary, 4, ::tanh, -12, 12, true, 3.5e-7, 0},
    {"erf", kKernel_unary, 5, ::erf, -6, 6, false, 2.2e-7, 0},
    {"erf of small numbers", kKernel_unary, 5, ::erf, -6, 6, true, 2.2e-7, 0},
    {"sin", kKernel_unary, 6, ::sin, -1e6f, 1e6f, false, 0, 1.2e-7},
    {"sin of small numbers", kKernel_unary, 6, ::sin, -4, 4, true, 1.2e-7, 0},
    {"cos", kKernel_unary, 7, ::cos, -1e6f, 1e6f, false, 0, 1.2e-7},
    {"cos of small numbers", kKernel_unary, 7, ::cos, -4, 4, true, 0, 1.2e-7},
    {"silu", kKernel_activation, 0, silu, -80, 80, false, 2.5e-7, 0},
    {"gelu", kKernel_activation, 1, gelu, -8, 8, false, 2e-7, 2e-7},
    {"gelu by tanh", kKernel_activation, 2, gelu_tanh, -8, 8, false, 2e-7, 2e-7},
    {"relu", kKernel_activation, 3, relu, -8, 8, false, 0, 0},
    {"relu squared", kKernel_activation, 4, relu2, -8, 8, false, 6e-8, 0},
    {"gelu by sigmoid", kKernel_activation, 5, quick_gelu, -40, 40, false, 6e-6, 0},
    {"tanh as activation", kKernel_activation, 6, ::tanh, -12, 12, false, 3.5e-7, 0},
    {"sigmoid", kKernel_activation, 7, sigmoid, -80, 80, false, 2.2e-7, 0},
    {"identity", kKernel_activation, 8, identity, -8, 8, false, 0, 0},
};

static std::vector<float> map(const KernelSet& set, int kernel, int kind, const std::vector<float>& x) {
  Trial trial(set);
  const int64_t count = int64_t(x.size());
  const Place y = trial.output({count});
  trial.step(kernel, {trial.input(x, {count}), y}, {kind}, kernel == kKernel_unary ? std::vector<float>{1, 0} : std::vector<float>{});
  trial.must_run();
  return trial.copy(y);
}

KERNEL_TEST(math_errors) {
  for (const Function& f : functions) {
    describe(print("%s %s", set.name, f.name));
    Random random(f.kind);
    std::vector<float> x = {f.low, f.high, f.low == 0 ? 1 : 0.0f};
    while (x.size() < 60001) {
      float v = random.uniform(f.low, f.high);
      if (f.by_exponent) {
        do v = ldexpf(random.uniform(1, 2), random.below(255) - 126) * (f.low < 0 && random.below(2) ? -1.0f : 1.0f);
        while (v < f.low || v > f.high);
      }
      x.push_back(v);
    }
    const auto y = map(set, f.kernel, f.kind, x);
    double worst = 0;
    float where = 0, got = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = f.exact(x[i]), allowed = f.relative * fabs(exact) + f.absolute;
      // Below the smallest normal number only the absolute error counts.
      const double error = fabs(y[i] - exact), excess = error <= 0x1p-126 ? 0
                                                        : isnan(y[i])     ? INFINITY
                                                        : allowed > 0     ? error / allowed
                                                        : error > 0       ? INFINITY
                                                                          : 0;
      if (excess > worst) worst = excess, where = x[i], got = y[i];
    }
    CHECK(worst <= 1, "%.2f times the allowed error at %.9g (%a): %.9g, should be %.9g", worst, where, where, got, f.exact(where));
  }
}

KERNEL_TEST(math_ends) {
  const float inf = INFINITY;
  struct End {
    const char* name;
    int kernel, kind;
    float x, y;
  };
  const std::vector<End> ends = {
      {"exp", kKernel_unary, 1, inf, inf},
      {"exp", kKernel_unary, 1, 1000, inf},
      {"exp", kKernel_unary, 1, -inf, 0},
      {"exp", kKernel_unary, 1, -1000, 0},
      {"exp", kKernel_unary, 1, NAN, NAN},
      {"exp", kKernel_unary, 1, 0, 1},
      {"log", kKernel_unary, 2, inf, inf},
      {"log", kKernel_unary, 2, 0, -inf},
      {"log", kKernel_unary, 2, -0.0f, -inf},
      {"log", kKernel_unary, 2, -1, NAN},
      {"log", kKernel_unary, 2, -inf, NAN},
      {"log", kKernel_unary, 2, NAN, NAN},
      {"log", kKernel_unary, 2, 1, 0},
      {"sqrt", kKernel_unary, 3, inf, inf},
      {"sqrt", kKernel_unary, 3, -1, NAN},
      {"tanh", kKernel_unary, 4, inf, 1},
      {"tanh", kKernel_unary, 4, -inf, -1},
      {"tanh", kKernel_unary, 4, NAN, NAN},
      {"erf", kKernel_unary, 5, inf, 1},
      {"erf", kKernel_unary, 5, -inf, -1},
      {"erf", kKernel_unary, 5, NAN, NAN},
      {"sin", kKernel_unary, 6, 0, 0},
      {"cos", kKernel_unary, 7, 0, 1},
      {"sin", kKernel_unary, 6, NAN, NAN},
      {"cos", kKernel_unary, 7, NAN, NAN},
      {"sin", kKernel_unary, 6, inf, NAN},
      {"cos", kKernel_unary, 7, -inf, NAN},
      {"silu", kKernel_activation, 0, 1000, 1000},
      {"silu", kKernel_activation, 0, -1000, 0},
      {"silu", kKernel_activation, 0, NAN, NAN},
      {"gelu", kKernel_activation, 1, 9, 9},
      {"gelu", kKernel_activation, 1, -9, 0},
      {"gelu", kKernel_activation, 1, NAN, NAN},
      {"gelu by tanh", kKernel_activation, 2, 100, 100},
      {"relu", kKernel_activation, 3, -inf, 0},
      {"sigmoid", kKernel_activation, 7, inf, 1},
      {"sigmoid", kKernel_activation, 7, -inf, 0},
      {"sigmoid", kKernel_activation, 7, NAN, NAN},
  };
  for (const End& end : ends) {
    describe(print("%s %s", set.name, end.name));
    // In every lane, and in the short vector at the end.
    for (const float y : map(set, end.kernel, end.kind, std::vector<float>(19, end.x)))
      CHECK(y == end.y || (isnan(y) && isnan(end.y)), "of %g is %g, should be %g", end.x, y, end.y);
  }
}

// Beyond the promised range: no matter what, but a number between -1 and 1 or NaN, and nothing undefined.
KERNEL_TEST(math_large_angles) {
  std::vector<float> x;
  for (int e = 20; e < 128; ++e) x.push_back(ldexpf(1.3f, e)), x.push_back(-ldexpf(1.7f, e));
  for (const int kind : {6, 7})
    for (const float y : map(set, kKernel_unary, kind, x)) CHECK(isnan(y) || fabsf(y) <= 1.0001f, "%g", y);
}

}  // namespace frugal::test
