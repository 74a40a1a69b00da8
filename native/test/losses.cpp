// Cross-entropy of logits and of products, with gradients, against sums in double: parts of blocks, whole blocks, several of them.
#include <array>

#include "compare.h"
#include "stored.h"

namespace frugal::test {

// Rows without a target among the others.
static std::vector<int32_t> targets_of(int64_t rows, int64_t classes) {
  std::vector<int32_t> targets;
  for (int64_t r = 0; r < rows; ++r) targets.push_back(r % 5 == 3 ? -1 : int32_t(r * 7919 % classes));
  return targets;
}

// Losses, sums of exp(logit) as logarithms, and the gradients of the logits, of rows of logits in double.
struct Errors {
  std::vector<double> losses, logarithms, errors;
};
static Errors errors_of(const std::vector<double>& logits, int64_t classes, const std::vector<int32_t>& targets,
                        const std::vector<float>& dy) {
  Errors all;
  all.errors.resize(logits.size(), 0);
  for (size_t r = 0; r < targets.size(); ++r) {
    const double* row = logits.data() + int64_t(r) * classes;
    double peak = -INFINITY, sum = 0;
    for (int64_t v = 0; v < classes; ++v) peak = fmax(peak, row[v]);
    for (int64_t v = 0; v < classes; ++v) sum += exp(row[v] - peak);
    const bool counts = targets[r] >= 0;
    all.logarithms.push_back(counts ? log(sum) + peak : 0);
    all.losses.push_back(counts ? log(sum) + peak - row[targets[r]] : 0);
    for (int64_t v = 0; counts && v < classes; ++v)
      all.errors[r * size_t(classes) + size_t(v)] = (exp(row[v] - peak) / sum - (v == targets[r])) * double(dy[r]);
  }
  return all;
}

KERNEL_TEST(cross_entropy_errors) {
  for (const auto& [rows, classes] : {std::pair<int64_t, int64_t>{1, 1}, {4, 3}, {7, 16}, {5, 33}, {40, 1000}, {0, 7}}) {
    describe(print("%s, %lld rows of %lld", set.name, whole(rows), whole(classes)));
    Random random(classes);
    const auto logits = random.normals(rows * classes, 5), dy = random.normals(rows);
    const auto targets = targets_of(rows, classes);
    const Errors wanted = errors_of({logits.begin(), logits.end()}, classes, targets, dy);
    Results bare;
    for (const bool with_losses : {false, true}) {
      const Results got = with_any_threads([&, rows = rows, classes = classes](int threads) {
        Trial trial(set, threads);
        const Place y = trial.output({rows, classes}), losses = trial.output({rows, 1});
        trial.step(kKernel_copy, {trial.input(logits, {rows, classes}), y});
        trial.step(kKernel_cross_entropy_errors,
                   {trial.input(targets, {rows}), trial.input(dy, {rows, 1}), with_losses ? losses : nothing(), y});
        trial.must_run();
        return with_losses ? Results{trial.copy(y), trial.copy(losses)} : Results{trial.copy(y)};
      });
      near_largest("errors", got[0], wanted.errors, 2e-6);
      if (with_losses) near_largest("losses", got[1], wanted.losses, 1e-6);
      if (bare.empty()) bare = got;
      CHECK(bare[0] == got[0], "losses change the errors");
    }
  }
  Trial trial(set);
  trial.step(kKernel_cross_entropy_errors, {trial.input(std::vector<int32_t>{8}, {1}), trial.input(std::vector<float>{1}, {1, 1}),
                                            nothing(), trial.input(std::vector<float>(8, 1), {1, 8})});
  CHECK(trial.run().fault_code == kIdOutOfRange, "a target beyond the classes was taken");
}

// A table of one row a class: numbers, or a matrix of a format.
struct Table {
  const Format* format;
  int64_t classes, width;
  std::vector<uint8_t> stored;
  std::vector<float> plain;
  std::vector<double> values;

  Table(const Format* format_, int64_t classes_, int64_t width_, Random& random) : format(format_), classes(classes_), width(width_) {
    if (!format) {
      plain = random.normals(classes * width);
      values = {plain.begin(), plain.end()};
      return;
    }
    stored = random_rows(*format, classes, width, random);
    for (const Element& e : decode(*format, stored.data(), classes * width)) values.push_back(e.value());
  }
  Place place(Trial& trial) const {
    return format ? trial.matrix(format->type, classes, width, stored) : trial.input(plain, {classes, width});
  }
};

static void check_loss(const KernelSet& set, const Format* format, int64_t rows, int64_t classes, int64_t width) {
  describe(print("%s, %lld rows of %lld, %lld classes, %s", set.name, whole(rows), whole(width), whole(classes),
                 format ? format->name : "numbers"));
  Random random(rows + classes);
  const Table table(format, classes, width, random);
  double squares = 0;
  for (const double v : table.values) squares += v * v;
  // Logits of about 2, whatever the table's scales.
  const auto x = random.normals(rows * width, float(2 / sqrt(squares / double(classes) + 1e-30))), dy = random.normals(rows);
  const auto targets = targets_of(rows, classes);
  std::vector<double> logits(size_t(rows * classes), 0);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t v = 0; v < classes; ++v)
      for (int64_t k = 0; k < width; ++k)
        logits[size_t(r * classes + v)] += double(x[size_t(r * width + k)]) * table.values[size_t(v * width + k)];
  const Errors wanted = errors_of(logits, classes, targets, dy);
  std::vector<double> dx(x.size(), 0), dtable(table.values.size(), 0);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t v = 0; v < classes; ++v)
      for (int64_t k = 0; k < width; ++k) {
        const double error = wanted.errors[size_t(r * classes + v)];
        dx[size_t(r * width + k)] += error * table.values[size_t(v * width + k)];
        dtable[size_t(v * width + k)] += error * double(x[size_t(r * width + k)]);
      }

  const Results got = with_any_threads([&](int threads) {
    Trial trial(set, threads);
    trial.scratch(size_t(4) << 20);
    const Place from = trial.input(x, {rows, width}), by = table.place(trial), ids = trial.input(targets, {rows}),
                seed = trial.input(dy, {rows, 1}), losses = trial.output({rows, 1}), gradient = trial.output({rows, width}),
                logarithms = trial.output({rows}), table_gradient = trial.output({classes, width});
    trial.step(kKernel_linear_cross_entropy, {from, by, ids, seed, losses, gradient, logarithms}, {int32_t(classes)});
    trial.step(kKernel_linear_cross_entropy_table, {from, by, ids, seed, logarithms, table_gradient}, {int32_t(classes)});
    trial.must_run();
    return Results{trial.copy(losses), trial.copy(gradient), trial.copy(logarithms), trial.copy(table_gradient)};
  });
  near_largest("losses", got[0], wanted.losses, 4e-6);
  near_largest("dx", got[1], dx, 2e-5);
  near_largest("logarithms", got[2], wanted.logarithms, 4e-6);
  near_largest("dtable", got[3], dtable, 2e-5);

  // Each result alone is the same.
  for (const int alone : {0, 1, 2}) {
    Trial trial(set, 2);
    trial.scratch(size_t(4) << 20);
    const Place y = trial.output({rows, alone == 1 ? width : 1});
    const auto only = [&](int i) { return alone == i ? y : nothing(); };
    trial.step(kKernel_linear_cross_entropy,
               {trial.input(x, {rows, width}), table.place(trial), trial.input(targets, {rows}),
                alone == 1 ? trial.input(dy, {rows, 1}) : nothing(), only(0), only(1), only(2)},
               {int32_t(classes)});
    trial.must_run();
    CHECK(first_difference(trial.floats(y), got[size_t(alone)].data(), trial.bound(y).count()) < 0, "output %d alone differs", alone);
  }
}

// A block has up to 224 rows and 1024 classes.
KERNEL_TEST(linear_cross_entropy) {
  for (const auto& [rows, classes, width] :
       {std::array<int64_t, 3>{1, 1, 1}, {3, 5, 7}, {5, 33, 16}, {0, 10, 4}, {500, 37, 9}, {17, 1024, 5}, {230, 2100, 20}, {9, 1025, 530}})
    check_loss(set, nullptr, rows, classes, width);
}

KERNEL_TEST(linear_cross_entropy_stored) {
  for (const Format& format : formats()) check_loss(set, &format, 21, 50, format.least());
  for (const Format& format : formats()) {
    if (!format.coded())
      for (const int64_t width : {1, 7, 35}) check_loss(set, &format, 13, 19, width);
    if (format.type == 8) check_loss(set, &format, 230, 1100, 64);
  }
}

KERNEL_TEST(linear_cross_entropy_refuses) {
  Random random(1);
  const auto x = random.normals(6), table = random.normals(15);
  for (const int32_t target : {5, 4, -1, INT32_MIN, INT32_MAX}) {
    Trial trial(set);
    trial.scratch(size_t(4) << 20);
    trial.step(kKernel_linear_cross_entropy,
               {trial.input(x, {2, 3}), trial.input(table, {5, 3}), trial.input(std::vector<int32_t>{0, target}, {2}), nothing(),
                trial.output({2, 1}), nothing(), nothing()},
               {5});
    CHECK((trial.run().kind == Outcome::done) == (target < 5), "target %d of 5 classes", target);
  }
  Trial trial(set);
  trial.scratch(1 << 20);
  trial.step(kKernel_linear_cross_entropy,
             {trial.input(x, {2, 3}), trial.input(table, {5, 3}), trial.input(std::vector<int32_t>{0, 1}, {2}), nothing(),
              trial.output({2, 1}), nothing(), nothing()},
             {5});
  CHECK(trial.run().fault_code == kScratchTooSmall, "ran with 1 MB of scratch");
}

}  // namespace frugal::test
