// Gradients of norms against sums in double, with the parts of a weight's gradient added up.
#include "compare.h"

namespace frugal::test {

struct Norm {
  int64_t rows, width, groups;
  bool shared;  // one weight for all groups
};
struct Gradients {
  std::vector<double> x, weight;
};

static Gradients rms_gradients(const Norm& n, const std::vector<float>& x, const std::vector<float>& weight, const std::vector<float>& dy) {
  Gradients all{std::vector<double>(x.size()), std::vector<double>(weight.size(), 0)};
  for (int64_t line = 0; line < n.rows * n.groups; ++line) {
    const size_t at = size_t(line * n.width), w = n.shared ? 0 : size_t(line % n.groups * n.width), count = size_t(n.width);
    double squares = 0, products = 0;
    for (size_t i = 0; i < count; ++i) {
      squares += double(x[at + i]) * x[at + i];
      products += double(weight[w + i]) * dy[at + i] * x[at + i];
    }
    const double scale = 1 / sqrt(squares / double(n.width) + 1e-3);
    for (size_t i = 0; i < count; ++i) {
      all.x[at + i] = scale * (double(weight[w + i]) * dy[at + i] - x[at + i] * products / double(n.width) * scale * scale);
      all.weight[w + i] += double(dy[at + i]) * x[at + i] * scale;
    }
  }
  return all;
}
static Gradients layer_gradients(const Norm& n, const std::vector<float>& x, const std::vector<float>& weight,
                                 const std::vector<float>& dy) {
  Gradients all{std::vector<double>(x.size()), std::vector<double>(weight.size(), 0)};
  const size_t count = size_t(n.width);
  for (int64_t row = 0; row < n.rows; ++row) {
    const size_t at = size_t(row * n.width);
    double mean = 0, squares = 0, level = 0, products = 0;
    for (size_t i = 0; i < count; ++i) mean += x[at + i] / double(n.width);
    for (size_t i = 0; i < count; ++i) {
      squares += (x[at + i] - mean) * (x[at + i] - mean);
      level += double(weight[i]) * dy[at + i] / double(n.width);
      products += double(weight[i]) * dy[at + i] * (x[at + i] - mean) / double(n.width);
    }
    const double scale = 1 / sqrt(squares / double(n.width) + 1e-3);
    for (size_t i = 0; i < count; ++i) {
      const double centred = x[at + i] - mean;
      all.x[at + i] = scale * (double(weight[i]) * dy[at + i] - level - centred * products * scale * scale);
      all.weight[i] += double(dy[at + i]) * centred * scale;
    }
  }
  return all;
}

static void check_norm(const KernelSet& set, const Norm& n, bool rms) {
  describe(print("%s, %s, %lld rows of %lld x %lld, shared %d", set.name, rms ? "rms" : "layer", whole(n.rows), whole(n.groups),
                 whole(n.width), n.shared));
  Random random(n.rows * 100 + n.width);
  const int64_t channels = n.width * n.groups, weights = n.shared ? n.width : channels;
  auto x = random.normals(n.rows * channels);
  for (auto& v : x) v += 0.5f;
  const auto weight = random.normals(weights), dy = random.normals(n.rows * channels);
  const int kernel = rms ? kKernel_rms_norm_gradient : kKernel_layer_norm_gradient;
  // Bits: 1 for dx, 2 for dweight.
  const auto run = [&](int threads, int wanted) {
    Trial trial(set, threads);
    const Place dx = trial.output({n.rows, channels}), parts = trial.output({64, weights}), dweight = trial.output({1, weights});
    trial.step(kernel,
               {trial.input(x, {n.rows, channels}), trial.vector(weight), trial.input(dy, {n.rows, channels}), wanted & 1 ? dx : nothing(),
                wanted & 2 ? parts : nothing()},
               rms ? std::vector<int32_t>{int32_t(n.groups)} : std::vector<int32_t>{}, {1e-3f});
    if (wanted & 2) trial.step(kKernel_sum, {parts, dweight}, {0});
    trial.must_run();
    return Results{trial.copy(dx), trial.copy(dweight)};
  };
  const Results got = with_any_threads([&](int threads) { return run(threads, 3); });
  const Gradients expected = rms ? rms_gradients(n, x, weight, dy) : layer_gradients(n, x, weight, dy);
  near_largest("dx", got[0], expected.x, 5e-6);
  near_largest("dweight", got[1], expected.weight, 5e-6);
  CHECK(run(2, 1)[0] == got[0] && run(2, 2)[1] == got[1], "one gradient alone differs");
}

// Rows are summed in 64 parts: fewer rows than that, as many, more.
KERNEL_TEST(norm_gradients) {
  for (const int64_t width : {3, 16, 130})
    for (const int64_t rows : {1, 65, 300}) {
      check_norm(set, {rows, width, 1, true}, true);
      check_norm(set, {rows, width, 3, true}, true);
      check_norm(set, {rows, width, 3, false}, true);
      check_norm(set, {rows, width, 1, true}, false);
    }
  check_norm(set, {0, 9, 1, true}, true);
  check_norm(set, {0, 9, 1, true}, false);
}

KERNEL_TEST(norm_gradients_refuse) {
  const std::vector<float> x(8, 1), weight(4, 1), parts(256, 0);
  for (const std::vector<int64_t>& dims : std::vector<std::vector<int64_t>>{{64, 4}, {256}, {1, 256}, {4, 64}, {64, 4, 1}}) {
    Trial trial(set);
    trial.step(kKernel_rms_norm_gradient,
               {trial.input(x, {2, 4}), trial.input(weight, {4}), trial.input(x, {2, 4}), nothing(), trial.output(dims)}, {1}, {1e-3f});
    CHECK((trial.run().kind == Outcome::done) == (dims.back() == 4), "parts whose last size is %lld", whole(dims.back()));
  }
}

}  // namespace frugal::test
