// Numbers made from ids and offsets, and what is refused of them.
#include "compare.h"

namespace frugal::test {

KERNEL_TEST(to_float) {
  for (const int64_t count : {0, 1, 7, 40001}) {
    Random random(count);
    std::vector<int32_t> ids = {INT32_MIN, INT32_MAX, 16777217, -1};
    while (int64_t(ids.size()) < count) ids.push_back(int32_t(random.bits()));
    ids.resize(size_t(count));
    const Results got = with_any_threads([&](int threads) {
      Trial trial(set, threads);
      const Place y = trial.output({count});
      trial.step(kKernel_to_float, {trial.input(ids, {count}), y});
      trial.must_run();
      return Results{trial.copy(y)};
    });
    for (size_t i = 0; i < ids.size(); ++i) CHECK(got[0][i] == float(ids[i]), "%d became %.9g", ids[i], got[0][i]);
  }
}

KERNEL_TEST(one_hot) {
  for (const auto& [rows, width] : {std::pair<int64_t, int64_t>{0, 5}, {1, 1}, {9, 5}, {700, 33}}) {
    describe(print("%s, %lld rows of %lld", set.name, whole(rows), whole(width)));
    Random random(rows);
    std::vector<int32_t> ids;
    for (int64_t r = 0; r < rows; ++r) ids.push_back(r % 4 == 1 ? -1 - random.below(1 << 30) : random.below(int(width)));
    const Results got = with_any_threads([&, rows = rows, width = width](int threads) {
      Trial trial(set, threads);
      const Place y = trial.output({rows, width});
      trial.step(kKernel_one_hot, {trial.input(ids, {rows}), y});
      trial.must_run();
      return Results{trial.copy(y)};
    });
    for (int64_t i = 0; i < rows * width; ++i)
      CHECK(got[0][size_t(i)] == (ids[size_t(i / width)] == i % width ? 1 : 0), "row %lld, column %lld: %g", whole(i / width),
            whole(i % width), got[0][size_t(i)]);
  }
  Trial trial(set);
  trial.step(kKernel_one_hot, {trial.input(std::vector<int32_t>{0, 3}, {2}), trial.output({2, 3})});
  CHECK(trial.run().fault_code == kIdOutOfRange, "id 3 of 3 was taken");
}

KERNEL_TEST(row_sequences) {
  for (const std::vector<int32_t>& offsets : std::vector<std::vector<int32_t>>{{0}, {0, 0}, {0, 3}, {0, 1, 1, 4, 4, 9000}}) {
    const int64_t rows = offsets.back();
    Trial trial(set, 2);
    const Place y = trial.output({rows});
    trial.step(kKernel_row_sequences, {trial.input(offsets, {int64_t(offsets.size())}), y});
    trial.must_run();
    for (size_t s = 0; s + 1 < offsets.size(); ++s)
      for (int32_t r = offsets[s]; r < offsets[s + 1]; ++r) CHECK(trial.ids(y)[r] == int32_t(s), "row %d: %d", r, trial.ids(y)[r]);
  }
  for (const std::vector<int32_t>& offsets :
       std::vector<std::vector<int32_t>>{{0, 4, 10}, {0, 4, 8}, {0, 10, 9}, {0, 5, 4}, {0, INT32_MAX, 9}, {0, INT32_MIN, 9}}) {
    Trial trial(set);
    trial.step(kKernel_row_sequences, {trial.input(offsets, {3}), trial.output({9})});
    CHECK(trial.run().kind == Outcome::fault, "offsets %d, %d, %d were taken for 9 rows", offsets[0], offsets[1], offsets[2]);
  }
}

}  // namespace frugal::test
