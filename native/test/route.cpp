// Routing to experts: the largest logits in order, their shares, the experts' products, and the sum of what comes back.
#include <math.h>

#include <algorithm>
#include <numeric>

#include "stored.h"
#include "trial.h"

namespace frugal::test {

KERNEL_TEST(route) {
  for (const int experts : {1, 2, 5, 8, 33, 128})
    for (const int chosen : {1, 2, 4})
      for (const bool normalize : {false, true}) {
        if (chosen > experts) continue;
        describe(print("%s, %d of %d experts, normalize %d", set.name, chosen, experts, normalize));
        Random random(experts);
        const int64_t rows = 9;
        auto logits = random.normals(rows * experts, 3);
        for (int i = 0; i < experts; ++i) logits[size_t(i)] = float(i / 2);  // ties: the lower index first
        std::vector<float> first;
        for (const int threads : kThreadCounts) {
          Trial trial(set, threads);
          const Place x = trial.input(logits, {rows, experts}), ids = trial.output({rows, chosen}), weights = trial.output({rows, chosen});
          trial.step(kKernel_route_ids, {x, ids});
          trial.step(kKernel_route_weights, {x, ids, weights}, {normalize});
          trial.must_run();
          for (int64_t r = 0; r < rows; ++r) {
            const float* row = logits.data() + r * experts;
            std::vector<int> order(static_cast<size_t>(experts));
            std::iota(order.begin(), order.end(), 0);
            std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return row[a] > row[b]; });
            double all = 0, some = 0;
            for (int e = 0; e < experts; ++e) all += ::exp(double(row[e]));
            for (int j = 0; j < chosen; ++j) some += ::exp(double(row[order[size_t(j)]]));
            for (int j = 0; j < chosen; ++j) {
              const int expert = order[size_t(j)];
              CHECK(trial.ids(ids)[r * chosen + j] == expert, "row %lld, choice %d: expert %d, should be %d", whole(r), j,
                    trial.ids(ids)[r * chosen + j], expert);
              const double share = ::exp(double(row[expert])) / (normalize ? some : all);
              CHECK(fabs(trial.floats(weights)[r * chosen + j] - share) <= 1e-6, "row %lld, choice %d: %g, should be %g", whole(r), j,
                    trial.floats(weights)[r * chosen + j], share);
            }
          }
        }
      }
  for (const int32_t id : {-1, 4}) {
    Trial trial(set);
    trial.step(kKernel_route_weights,
               {trial.input(std::vector<float>(4, 1), {1, 4}), trial.input(std::vector<int32_t>{id}, {1, 1}), trial.output({1, 1})}, {0});
    CHECK(trial.run().fault_code == kIdOutOfRange, "expert %d was taken", id);
  }
}

// The fast way for many: the same ids in the same order, of numbers with ties, of all equal ones, and of NaN some that are in range.
KERNEL_TEST(route_many) {
  for (const int width : {2048, 5003, 30000})
    for (const int chosen : {1, 3, 64, 125})
      for (const int levels : {1, 50, 1 << 20}) {
        describe(print("%s, %d of %d, %d levels", set.name, chosen, width, levels));
        Random random(width + chosen);
        const int64_t rows = 2;
        std::vector<float> scores;
        for (int64_t i = 0; i < rows * width; ++i) scores.push_back(float(random.below(levels) - levels / 2));
        Trial trial(set, 2);
        const Place x = trial.input(scores, {rows, width}), ids = trial.output({rows, chosen});
        trial.step(kKernel_route_ids, {x, ids});
        trial.must_run();
        for (int64_t r = 0; r < rows; ++r) {
          const float* row = scores.data() + r * width;
          std::vector<int> order(static_cast<size_t>(width));
          std::iota(order.begin(), order.end(), 0);
          std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return row[a] > row[b]; });
          for (int j = 0; j < chosen; ++j)
            CHECK(trial.ids(ids)[r * chosen + j] == order[size_t(j)], "row %lld, choice %d: %d, should be %d", whole(r), j,
                  trial.ids(ids)[r * chosen + j], order[size_t(j)]);
        }
      }
  for (const float infinite : {NAN, -INFINITY}) {
    Trial trial(set);
    std::vector<float> scores(4000, infinite);
    scores[7] = 1;
    const Place ids = trial.output({1, 9});
    trial.step(kKernel_route_ids, {trial.input(scores, {1, 4000}), ids});
    trial.must_run();
    CHECK(trial.ids(ids)[0] == 7, "first of %g is %d", infinite, trial.ids(ids)[0]);
    for (int j = 0; j < 9; ++j) CHECK(trial.ids(ids)[j] >= 0 && trial.ids(ids)[j] < 4000, "choice %d: %d", j, trial.ids(ids)[j]);
  }
}

KERNEL_TEST(combine) {
  for (const int64_t width : {1, 15, 16, 33}) {
    describe(print("%s, width %lld", set.name, whole(width)));
    Random random(width);
    const auto x = random.normals(4 * 3 * width), weights = random.normals(4 * 3);
    Trial trial(set, 2);
    const Place y = trial.output({4, width});
    trial.step(kKernel_combine, {trial.input(x, {12, width}), trial.input(weights, {4, 3}), y});
    trial.must_run();
    for (int64_t i = 0; i < 4 * width; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < 3; ++j)
        sum += double(weights[size_t(i / width * 3 + j)]) * x[size_t((i / width * 3 + j) * width + i % width)];
      CHECK(fabs(trial.floats(y)[i] - sum) <= 1e-6, "element %lld: %g, should be %g", whole(i), trial.floats(y)[i], sum);
    }
  }
}

// Each routed row has the same bits as the product with its expert's rows as a matrix of their own; `spread`: a row of x for each routed row.
static void check_experts(const KernelSet& set, const Format& format, int64_t outputs, bool spread) {
  describe(print("%s %s, %lld outputs, x %s", set.name, format.name, whole(outputs), spread ? "by routed row" : "by token"));
  Random random(format.type);
  const int64_t experts = 3, tokens = 7, chosen = 2, routed = tokens * chosen, inputs = format.least(), rows = spread ? routed : tokens;
  const auto stored = random_rows(format, experts * outputs, inputs, random);
  const auto x = random.normals(rows * inputs);
  std::vector<int32_t> ids;
  for (int64_t r = 0; r < routed; ++r) ids.push_back(random.below(int(experts)));
  std::vector<float> expected;
  for (int64_t r = 0; r < routed; ++r) {
    const size_t bytes = size_t(outputs * format.row_bytes(inputs)), expert = size_t(ids[size_t(r)]);
    Trial trial(set);
    const int64_t row = spread ? r : r / chosen;
    const Place from = trial.input(std::vector<float>(x.begin() + row * inputs, x.begin() + (row + 1) * inputs), {1, inputs}),
                codes = format.coded() ? trial.activations(1, inputs) : nothing();
    const Place w = trial.matrix(format.type, outputs, inputs,
                                 {stored.begin() + int64_t(expert * bytes), stored.begin() + int64_t((expert + 1) * bytes)}),
                y = trial.output({1, outputs});
    if (format.coded()) trial.step(kKernel_quantize, {from, codes});
    trial.step(kKernel_linear, {from, codes, w, nothing(), y, nothing(), nothing()}, {-1});
    trial.must_run();
    expected.insert(expected.end(), trial.floats(y), trial.floats(y) + outputs);
  }
  for (const int threads : kThreadCounts) {
    Trial trial(set, threads);
    const Place from = trial.input(x, {rows, inputs}), codes = format.coded() ? trial.activations(rows, inputs) : nothing();
    const Place w = trial.matrix(format.type, experts * outputs, inputs, stored, experts), y = trial.output({routed, outputs});
    if (format.coded()) trial.step(kKernel_quantize, {from, codes});
    trial.step(kKernel_expert_linear, {from, codes, w, trial.input(ids, {tokens, chosen}), y}, {int32_t(experts)});
    trial.must_run();
    const int64_t bad = first_difference(trial.floats(y), expected.data(), routed * outputs);
    CHECK(bad < 0, "%d threads, element %lld: %.9g, should be %.9g", threads, whole(bad), trial.floats(y)[bad], expected[size_t(bad)]);
  }
}

KERNEL_TEST(expert_products) {
  for (const Format& format : formats())
    for (const int64_t outputs : {1, 16, 35})
      for (const bool spread : {false, true}) check_experts(set, format, outputs, spread);
  for (const int32_t id : {-1, 3}) {
    Random random(1);
    Trial trial(set, 2);
    const Place w = trial.matrix(0, 3 * 5, 32, random_rows(formats()[0], 15, 32, random), 3);
    trial.step(
        kKernel_expert_linear,
        {trial.input(random.normals(32), {1, 32}), nothing(), w, trial.input(std::vector<int32_t>{0, id}, {1, 2}), trial.output({2, 5})},
        {3});
    CHECK(trial.run().fault_code == kIdOutOfRange, "expert %d was taken", id);
  }
}

}  // namespace frugal::test
