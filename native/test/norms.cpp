// Norms, softmax and reductions of odd sizes against sums in double.
#include <math.h>

#include "random.h"
#include "trial.h"

namespace frugal::test {

static void near(const std::vector<float>& got, const std::vector<double>& expected, double allowed) {
  CHECK(got.size() == expected.size(), "%zu numbers, should be %zu", got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i)
    CHECK(fabs(got[i] - expected[i]) <= allowed * fmax(1, fabs(expected[i])), "element %zu: %.9g, should be %.9g", i, got[i], expected[i]);
}

constexpr int64_t kWidths[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100, 257};

KERNEL_TEST(rms_norm) {
  for (const int64_t width : kWidths)
    for (const int64_t groups : {1, 3})
      for (const bool shared : {true, false}) {
        describe(print("%s, width %lld, %lld groups", set.name, whole(width), whole(groups)));
        Random random(width);
        const int64_t rows = 5, channels = width * groups;
        const auto x = random.normals(rows * channels), weight = random.normals(shared ? width : channels);
        std::vector<double> expected;
        for (int64_t r = 0; r < rows * groups; ++r) {
          double squares = 0;
          for (int64_t i = 0; i < width; ++i) squares += double(x[size_t(r * width + i)]) * x[size_t(r * width + i)];
          for (int64_t i = 0; i < width; ++i)
            expected.push_back(x[size_t(r * width + i)] / sqrt(squares / double(width) + 1e-3) *
                               weight[size_t((shared ? 0 : r % groups * width) + i)]);
        }
        std::vector<float> first;
        for (const int threads : kThreadCounts) {
          Trial trial(set, threads);
          const Place y = trial.output({rows, channels});
          trial.step(kKernel_rms_norm, {trial.input(x, {rows, channels}), trial.vector(weight), y}, {int32_t(groups)}, {1e-3f});
          trial.must_run();
          near(trial.copy(y), expected, 1e-6);
          if (first.empty()) first = trial.copy(y);
          CHECK(first == trial.copy(y), "%d threads change the result", threads);
        }
      }
}

KERNEL_TEST(layer_norm) {
  for (const int64_t width : kWidths) {
    describe(print("%s, width %lld", set.name, whole(width)));
    Random random(width);
    const int64_t rows = 5;
    auto x = random.normals(rows * width);
    for (auto& v : x) v += 3;
    const auto weight = random.normals(width), bias = random.normals(width);
    std::vector<double> expected;
    for (int64_t r = 0; r < rows; ++r) {
      double sum = 0, squares = 0;
      for (int64_t i = 0; i < width; ++i) sum += x[size_t(r * width + i)];
      const double mean = sum / double(width);
      for (int64_t i = 0; i < width; ++i) squares += (x[size_t(r * width + i)] - mean) * (x[size_t(r * width + i)] - mean);
      for (int64_t i = 0; i < width; ++i)
        expected.push_back((x[size_t(r * width + i)] - mean) / sqrt(squares / double(width) + 1e-2) * weight[size_t(i)] + bias[size_t(i)]);
    }
    Trial trial(set, 2);
    const Place y = trial.output({rows, width});
    trial.step(kKernel_layer_norm, {trial.input(x, {rows, width}), trial.vector(weight), trial.vector(bias), y}, {}, {1e-2f});
    trial.must_run();
    near(trial.copy(y), expected, 1e-5);
  }
}

// Lines along each axis of a block of three dimensions: element i of line l.
struct Lines {
  int64_t dims[3];
  int axis;
  int64_t inner() const { return axis == 2 ? 1 : axis == 1 ? dims[2] : dims[1] * dims[2]; }
  int64_t count() const { return dims[0] * dims[1] * dims[2] / dims[axis]; }
  size_t at(int64_t line, int64_t i) const { return size_t(line / inner() * inner() * dims[axis] + line % inner() + i * inner()); }
};

KERNEL_TEST(softmax) {
  for (const int64_t width : kWidths)
    for (int axis = 0; axis < 3; ++axis) {
      describe(print("%s, width %lld, axis %d", set.name, whole(width), axis));
      Lines lines{{3, 5, 2}, axis};
      lines.dims[axis] = width;
      Random random(width);
      auto x = random.normals(lines.count() * width, 8);
      if (width > 2) x[lines.at(0, 1)] = -INFINITY, x[lines.at(1, 2)] = 80;
      std::vector<double> expected(x.size());
      for (int64_t l = 0; l < lines.count(); ++l) {
        double peak = -INFINITY, sum = 0;
        for (int64_t i = 0; i < width; ++i) peak = fmax(peak, x[lines.at(l, i)]);
        for (int64_t i = 0; i < width; ++i) sum += ::exp(x[lines.at(l, i)] - peak);
        for (int64_t i = 0; i < width; ++i) expected[lines.at(l, i)] = ::exp(x[lines.at(l, i)] - peak) / sum;
      }
      for (const int threads : kThreadCounts) {
        Trial trial(set, threads);
        const std::vector<int64_t> dims(lines.dims, lines.dims + 3);
        const Place y = trial.output(dims);
        trial.step(kKernel_softmax, {trial.input(x, dims), y}, {axis});
        trial.must_run();
        near(trial.copy(y), expected, 4e-7);
      }
    }
}

KERNEL_TEST(sum_and_peak) {
  for (const int64_t width : kWidths)
    for (int axis = 0; axis < 3; ++axis) {
      describe(print("%s, width %lld, axis %d", set.name, whole(width), axis));
      Lines lines{{3, 5, 2}, axis};
      lines.dims[axis] = width;
      Random random(width);
      const auto x = random.normals(lines.count() * width);
      std::vector<double> sums(size_t(lines.count()), 0), peaks(size_t(lines.count()), -INFINITY);
      for (int64_t l = 0; l < lines.count(); ++l)
        for (int64_t i = 0; i < width; ++i)
          sums[size_t(l)] += x[lines.at(l, i)], peaks[size_t(l)] = fmax(peaks[size_t(l)], x[lines.at(l, i)]);
      const std::vector<int64_t> dims(lines.dims, lines.dims + 3);
      std::vector<int64_t> reduced = dims;
      reduced[size_t(axis)] = 1;
      Trial trial(set, 2);
      const Place from = trial.input(x, dims), sum = trial.output(reduced), peak = trial.output(reduced);
      trial.step(kKernel_sum, {from, sum}, {axis});
      trial.step(kKernel_peak, {from, peak}, {axis});
      trial.must_run();
      near(trial.copy(sum), sums, 2e-5);
      near(trial.copy(peak), peaks, 0);
    }
}

KERNEL_TEST(argmax) {
  for (const int64_t width : kWidths) {
    describe(print("%s, width %lld", set.name, whole(width)));
    Random random(width);
    auto x = random.normals(6 * width);
    for (int64_t i = 0; i < width; ++i) x[size_t(i)] = 2, x[size_t(width + i)] = -INFINITY;  // the first of equals
    for (int64_t i = 0; i < width; ++i) x[size_t(2 * width + i)] = i >= width / 2 ? 1 : 0;
    x[size_t(4 * width - 1)] = 9;
    Trial trial(set, 2);
    const Place y = trial.output({6});
    trial.step(kKernel_argmax, {trial.input(x, {6, width}), y});
    trial.must_run();
    for (int64_t r = 0; r < 6; ++r) {
      int64_t best = 0;
      for (int64_t i = 1; i < width; ++i)
        if (x[size_t(r * width + i)] > x[size_t(r * width + best)]) best = i;
      CHECK(trial.ids(y)[r] == best, "row %lld: %d, should be %lld", whole(r), trial.ids(y)[r], whole(best));
    }
  }
  // With NaN any valid id will do.
  Trial trial(set);
  const Place y = trial.output({1});
  trial.step(kKernel_argmax, {trial.input(std::vector<float>(20, NAN), {1, 20}), y});
  trial.must_run();
  CHECK(trial.ids(y)[0] >= 0 && trial.ids(y)[0] < 20, "%d", trial.ids(y)[0]);
}

KERNEL_TEST(pool_rows) {
  Random random(1);
  const auto x = random.normals(9 * 5);
  for (const int kind : {0, 1, 2}) {
    Trial trial(set, 2);
    const Place y = trial.output({3, 5});
    trial.step(kKernel_pool, {trial.input(x, {9, 5}), trial.input(std::vector<int32_t>{0, 4, 5, 9}, {4}), y}, {kind});
    trial.must_run();
    std::vector<double> expected;
    for (const auto& [first, last] : {std::pair{0, 4}, {4, 5}, {5, 9}})
      for (int c = 0; c < 5; ++c) {
        double sum = 0;
        for (int r = first; r < last; ++r) sum += x[size_t(r * 5 + c)];
        expected.push_back(kind == 0 ? sum / (last - first) : x[size_t((kind == 1 ? first : last - 1) * 5 + c)]);
      }
    near(trial.copy(y), expected, 1e-6);
  }
  for (const std::vector<int32_t>& offsets :
       std::vector<std::vector<int32_t>>{{0, 4, 4, 9}, {0, 4, 5, 10}, {-1, 4, 5, 9}, {0, 5, 4, 9}, {0, INT32_MAX, 5, 9}}) {
    Trial trial(set, 2);
    trial.step(kKernel_pool, {trial.input(x, {9, 5}), trial.input(offsets, {4}), trial.output({3, 5})}, {0});
    CHECK(trial.run().kind == Outcome::fault, "offsets %d, %d, %d were taken", offsets[0], offsets[1], offsets[2]);
  }
}

KERNEL_TEST(cross_entropy) {
  for (const int64_t width : kWidths) {
    describe(print("%s, width %lld", set.name, whole(width)));
    Random random(width);
    const auto x = random.normals(4 * width, 10);
    const std::vector<int32_t> targets = {int32_t(width) - 1, -1, 0, int32_t(width) / 2};
    Trial trial(set, 2);
    const Place y = trial.output({4, 1});
    trial.step(kKernel_cross_entropy, {trial.input(x, {4, width}), trial.input(targets, {4}), y});
    trial.must_run();
    std::vector<double> expected;
    for (int64_t r = 0; r < 4; ++r) {
      double sum = 0;
      for (int64_t i = 0; i < width; ++i) sum += ::exp(double(x[size_t(r * width + i)]));
      expected.push_back(targets[size_t(r)] < 0 ? 0 : ::log(sum) - x[size_t(r * width + targets[size_t(r)])]);
    }
    near(trial.copy(y), expected, 2e-6 * 10);
  }
  Trial trial(set);
  trial.step(kKernel_cross_entropy,
             {trial.input(std::vector<float>(8, 1), {1, 8}), trial.input(std::vector<int32_t>{8}, {1}), trial.output({1, 1})});
  CHECK(trial.run().fault_code == kIdOutOfRange, "a target beyond the classes was taken");
}

}  // namespace frugal::test
