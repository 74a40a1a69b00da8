// Small programs of maps against libm in double: every instruction, every way that inputs are spread, and a chain as an optimizer has it.
#include "compare.h"

namespace frugal::test {

using Dims = std::vector<int64_t>;

static int64_t size_of(const Dims& dims) {
  int64_t n = 1;
  for (const int64_t dim : dims) n *= dim;
  return n;
}
// Element `index` of y in an operand whose dims are y's or 1, aligned at the right.
static size_t spread(const Dims& y, const Dims& x, int64_t index) {
  int64_t at = 0, stride = 1;
  for (size_t back = 1; back <= x.size(); ++back) {
    const int64_t dim = y[y.size() - back], own = x[x.size() - back];
    if (own != 1) at += index % dim * stride;
    index /= dim;
    stride *= own;
  }
  return size_t(at);
}

static double gated(int kind, double x) {
  const auto sigmoid = [](double v) { return 1 / (1 + exp(-v)); };
  switch (kind) {
    case 0: return x * sigmoid(x);
    case 1: return x * (1 + erf(x / sqrt(2.0))) / 2;
    case 2: return x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))) / 2;
    case 3: return fmax(x, 0);
    case 4: return fmax(x, 0) * fmax(x, 0);
    case 5: return x * sigmoid(1.702 * x);
    case 6: return tanh(x);
    case 7: return sigmoid(x);
    default: return x;
  }
}
constexpr int kKinds = 25;
constexpr float kBy = -1.5f, kPlus = 0.25f;
static double mapped(int kind, double a, double b, double c) {
  switch (kind) {
    case 0: return a + b;
    case 1: return a - b;
    case 2: return a * b;
    case 3: return a / b;
    case 4: return fmax(a, b);
    case 5: return a < b;
    case 6: return a * kBy + kPlus;
    case 7: return exp(a);
    case 8: return log(a);
    case 9: return sqrt(a);
    case 10: return tanh(a);
    case 11: return erf(a);
    case 12: return sin(a);
    case 13: return cos(a);
    case 14: return a != 0 ? b : c;
    case 15: return a;
    default: return gated(kind - 16, a);
  }
}

static void check_kind(const KernelSet& set, int kind, const Dims& y, const Dims& b_dims, const Dims& c_dims) {
  describe(print("%s, kind %d, %lld, %lld and %lld elements", set.name, kind, whole(size_of(y)), whole(size_of(b_dims)),
                 whole(size_of(c_dims))));
  Random random(kind + size_of(y));
  auto a = random.normals(size_of(y)), b = random.normals(size_of(b_dims));
  const auto c = random.normals(size_of(c_dims));
  for (size_t i = 0; i < a.size(); ++i) {
    if (kind == 8 || kind == 9) a[i] = fabsf(a[i]) + 0.01f;
    if (kind == 14 && i % 3 == 0) a[i] = 0;
  }
  for (auto& v : b)
    if (kind == 3) v = copysignf(fabsf(v) + 0.25f, v);
  const Results got = with_any_threads([&](int threads) {
    Trial trial(set, threads);
    const Place to = trial.output(y);
    trial.step(kKernel_map, {trial.input(a, y), trial.input(b, b_dims), trial.input(c, c_dims), to}, {3, 1, 4, kind, 3, 0, 1, 2, 3},
               {kBy, kPlus});
    trial.must_run();
    return Results{trial.copy(to)};
  });
  for (int64_t i = 0; i < size_of(y); ++i) {
    const double wanted = mapped(kind, a[size_t(i)], b[spread(y, b_dims, i)], c[spread(y, c_dims, i)]);
    CHECK(fabs(got[0][size_t(i)] - wanted) <= 1e-6 * fmax(1, fabs(wanted)), "element %lld: %.9g, should be %.9g", whole(i),
          got[0][size_t(i)], wanted);
  }
}

KERNEL_TEST(map_kinds) {
  for (int kind = 0; kind < kKinds; ++kind) {
    check_kind(set, kind, {1}, {1}, {1});
    check_kind(set, kind, {40, 301}, {301}, {40, 1});
    check_kind(set, kind, {20011}, {20011}, {1});
  }
}

KERNEL_TEST(map_spreads) {
  struct {
    Dims y, b, c;
  } const all[] = {
      {{7, 5}, {7, 5}, {5}},           {{7, 5}, {7, 1}, {1, 5}},
      {{7, 5}, {1, 1}, {1}},           {{7, 1}, {1}, {7, 1}},
      {{1, 5}, {5}, {1, 1}},           {{3, 4, 33}, {4, 1}, {3, 1, 33}},
      {{3, 4, 257}, {257}, {1, 4, 1}}, {{2, 3, 4, 17}, {2, 1, 4, 1}, {3, 1, 17}},
      {{0, 5}, {5}, {0, 1}},           {{5, 0}, {5, 1}, {1}},
      {{300, 600}, {600}, {300, 1}},   {{}, {}, {1}},
  };
  for (const auto& [y, b, c] : all)
    if (c.size() <= y.size())
      for (const int kind : {1, 14}) check_kind(set, kind, y, b, c);
}

// Adam's moments and its step, in place: m = 0.9 m + 0.1 g, v = 0.99 v + 0.01 g², w = w - rate · m / (√v + 1e-8); g is read alone.
KERNEL_TEST(map_chain) {
  for (const int64_t count : {1, 15, 256, 257, 9001}) {
    describe(print("%s, %lld numbers", set.name, whole(count)));
    Random random(count);
    const auto w = random.normals(count), g = random.normals(count), m = random.normals(count);
    auto v = random.normals(count);
    for (auto& each : v) each *= each;
    constexpr int add = 0, sub = 1, mul = 2, div = 3, scale = 6, root = 9;
    // Inputs w, m, v, g, rate are registers 0 to 4.
    const std::vector<int32_t> instructions = {
        5,     3, 8,                                                                                // inputs, results, registers
        scale, 5, 1, 0, 0, scale, 6, 3, 0, 0, add,   5, 5, 6, 0,                                    // m
        mul,   6, 3, 3, 0, scale, 6, 6, 0, 0, scale, 7, 2, 0, 0, add, 6, 6, 7, 0,                   // v
        root,  7, 6, 0, 0, scale, 7, 7, 0, 0, div,   7, 5, 7, 0, mul, 7, 7, 4, 0, sub, 0, 0, 7, 0,  // w
        0,     5, 6,
    };
    const std::vector<float> numbers = {0.9f, 0, 0.1f, 0, 0, 0, 0, 0, 0.01f, 0, 0.99f, 0, 0, 0, 0, 0, 1, 1e-8f, 0, 0, 0, 0, 0, 0};
    std::vector<double> next_w, next_m, next_v;
    for (size_t i = 0; i < size_t(count); ++i) {
      next_m.push_back(double(0.9f) * m[i] + double(0.1f) * g[i]);
      next_v.push_back(double(0.99f) * v[i] + double(0.01f) * g[i] * g[i]);
      next_w.push_back(w[i] - 0.125 * next_m[i] / (sqrt(next_v[i]) + 1e-8));
    }
    for (const bool in_place : {false, true}) {
      const Results got = with_any_threads([&](int threads) {
        Trial trial(set, threads);
        const Place old[] = {trial.input(w, {count}), trial.input(m, {count}), trial.input(v, {count})};
        const Place made[] = {trial.output({count}), trial.output({count}), trial.output({count})};
        const Place* to = in_place ? old : made;
        trial.step(kKernel_map,
                   {old[0], old[1], old[2], trial.input(g, {count}), trial.input(std::vector<float>{0.125f}, {1}), to[0], to[1], to[2]},
                   instructions, numbers);
        trial.must_run();
        return Results{trial.copy(to[0]), trial.copy(to[1]), trial.copy(to[2])};
      });
      near_largest("w", got[0], next_w, 2e-6);
      near_largest("m", got[1], next_m, 1e-6);
      near_largest("v", got[2], next_v, 1e-6);
    }
  }
}

KERNEL_TEST(map_refuses) {
  struct {
    const char* what;
    std::vector<int32_t> integers;
    bool good;
  } const all[] = {
      {"a sum", {2, 1, 3, 0, 2, 0, 1, 0, 2}, true},
      {"no instruction", {2, 1, 3, 1}, true},
      {"an unknown kind", {2, 1, 3, 25, 2, 0, 1, 0, 2}, false},
      {"a negative kind", {2, 1, 3, -1, 2, 0, 1, 0, 2}, false},
      {"a register that is none", {2, 1, 3, 0, 3, 0, 1, 0, 2}, false},
      {"a negative register", {2, 1, 3, 0, 2, -1, 1, 0, 2}, false},
      {"a result that is none", {2, 1, 3, 0, 2, 0, 1, 0, 3}, false},
      {"fewer registers than inputs", {2, 1, 1, 0, 0, 0, 0, 0, 0}, false},
      {"too many registers", {2, 1, 65, 0, 2, 0, 1, 0, 2}, false},
      {"half an instruction", {2, 1, 3, 0, 2, 0, 2}, false},
      {"no result", {3, 0, 3, 0, 2, 0, 1, 0}, false},
      {"no operand is written", {3, 1, 4, 0, 3, 0, 1, 0, 3}, false},
  };
  for (const auto& [what, integers, good] : all) {
    describe(print("%s, %s", set.name, what));
    Trial trial(set);
    const std::vector<float> x(6, 1);
    trial.step(kKernel_map, {trial.input(x, {2, 3}), trial.input(x, {2, 3}), trial.output({2, 3})}, integers,
               integers.size() > 8 ? std::vector<float>{1, 0} : std::vector<float>{});
    CHECK((trial.run().kind == Outcome::done) == good, "%s", good ? "refused" : "taken");
  }
}

}  // namespace frugal::test
