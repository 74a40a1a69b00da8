// Adapters in slots: each row has the bits that products with its adapter's matrices as weights give it, whoever stands beside it.
#include <string.h>

#include "compare.h"

namespace frugal::test {

static std::vector<uint8_t> bytes_of(const std::vector<float>& values) {
  std::vector<uint8_t> bytes(values.size() * 4);
  memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}
static std::vector<float> transposed(const std::vector<float>& x, int64_t rows, int64_t columns) {
  std::vector<float> y(x.size());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) y[size_t(c * rows + r)] = x[size_t(r * columns + c)];
  return y;
}

// y + B (A x) by `linear`, for all rows.
static std::vector<float> by_weights(const KernelSet& set, const std::vector<float>& x, const std::vector<float>& y,
                                     const std::vector<float>& a, const std::vector<float>& b, int64_t rows, int64_t inputs, int64_t rank,
                                     int64_t outputs) {
  if (rank == 0) return y;
  Trial trial(set);
  const Place few = trial.arena(rows * rank, {rows, rank}), result = trial.output({rows, outputs});
  trial.step(kKernel_linear,
             {trial.input(x, {rows, inputs}), nothing(), trial.matrix(0, rank, inputs, bytes_of(a)), nothing(), few, nothing(), nothing()},
             {-1});
  trial.step(kKernel_linear,
             {few, nothing(), trial.matrix(0, outputs, rank, bytes_of(b)), nothing(), result, nothing(), trial.input(y, {rows, outputs})},
             {-1});
  trial.must_run();
  return trial.copy(result);
}

static void check_slots(const KernelSet& set, const std::vector<int32_t>& slots, const std::vector<int>& ranks, int64_t inputs,
                        int64_t most, int64_t outputs) {
  const int64_t rows = int64_t(slots.size()), count = int64_t(ranks.size());
  describe(print("%s, %lld rows, %lld slots of %lld, [%lld, %lld]", set.name, whole(rows), whole(count), whole(most), whole(outputs),
                 whole(inputs)));
  Random random(rows + outputs);
  const auto x = random.normals(rows * inputs), y = random.normals(rows * outputs);
  // Behind what a slot's rank needs there are NaNs, which nobody may read.
  std::vector<float> a(size_t(count * inputs * most), NAN), b(size_t(count * most * outputs), NAN), sizes;
  std::vector<std::vector<float>> wanted;
  for (int64_t s = 0; s < count; ++s) {
    const int64_t rank = ranks[size_t(s)];
    const auto own_a = random.normals(rank * inputs), own_b = random.normals(outputs * rank);
    const auto down = transposed(own_a, rank, inputs), up = transposed(own_b, outputs, rank);
    std::copy(down.begin(), down.end(), a.begin() + s * inputs * most);
    std::copy(up.begin(), up.end(), b.begin() + s * most * outputs);
    sizes.push_back(float(rank));
    wanted.push_back(by_weights(set, x, y, own_a, own_b, rows, inputs, rank, outputs));
  }
  for (const bool in_place : {false, true}) {
    const Results got = with_any_threads([&](int threads) {
      Trial trial(set, threads);
      const Place ids = trial.input(slots, {rows}), size = trial.input(sizes, {count});
      const Place few = trial.arena(rows * most, {rows, most}), result = trial.output({rows, outputs});
      const Place from = in_place ? result : trial.input(y, {rows, outputs});
      if (in_place) trial.step(kKernel_copy, {trial.input(y, {rows, outputs}), result});
      trial.step(kKernel_low_rank_down, {trial.input(x, {rows, inputs}), ids, trial.input(a, {count, inputs, most}), size, few});
      trial.step(kKernel_low_rank_up, {ids, few, trial.input(b, {count, most, outputs}), size, from, result});
      trial.must_run();
      return Results{trial.copy(result)};
    });
    for (int64_t r = 0; r < rows; ++r) {
      const int32_t slot = slots[size_t(r)];
      const auto& all = slot < 0 ? y : wanted[size_t(slot)];
      const int64_t at = first_difference(got[0].data() + r * outputs, all.data() + r * outputs, outputs);
      CHECK(at < 0, "row %lld of slot %d, output %lld: %.9g, should be %.9g", whole(r), slot, whole(at), got[0][size_t(r * outputs + at)],
            all[size_t(r * outputs + at)]);
    }
  }
}

KERNEL_TEST(low_rank) {
  for (const int64_t outputs : {1, 15, 16, 33, 300}) {
    check_slots(set, {0, 0, 0, 1, 1, -1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, -1}, {5, 0, 16}, 33, 16, outputs);
    check_slots(set, {1, 0, -1, 3, 2}, {17, 1, 4, 8}, 64, 17, outputs);
  }
  check_slots(set, std::vector<int32_t>(37, 0), {32}, 100, 40, 70);
  check_slots(set, {}, {3}, 8, 4, 8);
  check_slots(set, {0}, {1}, 1, 1, 1);
}

KERNEL_TEST(low_rank_faults) {
  const auto run = [&](int32_t slot, float rank) {
    Trial trial(set, 2);
    const Place ids = trial.input(std::vector<int32_t>{0, slot}, {2}), size = trial.input(std::vector<float>{2, rank}, {2});
    const Place few = trial.arena(4, {2, 2}), y = trial.input(std::vector<float>(6, 1), {2, 3});
    trial.step(kKernel_low_rank_down,
               {trial.input(std::vector<float>(2, 1), {2, 1}), ids, trial.input(std::vector<float>(4, 1), {2, 1, 2}), size, few});
    trial.step(kKernel_low_rank_up, {ids, few, trial.input(std::vector<float>(12, 1), {2, 2, 3}), size, y, trial.output({2, 3})});
    return trial.run();
  };
  CHECK(run(1, 2).kind == Outcome::done, "good slots were refused");
  for (const int32_t slot : {-2, 2, 1 << 30}) CHECK(run(slot, 2).fault_code == kIdOutOfRange, "slot %d was taken", slot);
  for (const float rank : {-1.0f, 3.0f, NAN, INFINITY}) CHECK(run(1, rank).fault_code == kIdOutOfRange, "rank %g was taken", rank);
}

KERNEL_TEST(write_slot) {
  const auto write = [&](const std::vector<float>& numbers, int32_t slot, std::vector<float>& now) {
    Trial trial(set, 2);
    const Place weight = trial.output({3, 2, 2});
    trial.step(kKernel_copy, {trial.input(now, {3, 2, 2}), weight});
    trial.step(kKernel_write_slot, {trial.input(numbers, {int64_t(numbers.size())}), trial.input(std::vector<int32_t>{slot}, {1}), weight});
    const Outcome outcome = trial.run();
    if (outcome.kind == Outcome::done) now = trial.copy(weight);
    return outcome;
  };
  std::vector<float> now(12, 7);
  CHECK(write({1, 2, 3}, 1, now).kind == Outcome::done, "a slot was not written");
  const std::vector<float> wanted{7, 7, 7, 7, 1, 2, 3, 7, 7, 7, 7, 7};
  CHECK(first_difference(now.data(), wanted.data(), 12) < 0, "other numbers than those of the slot changed");
  for (const int32_t slot : {-1, 3}) CHECK(write({1}, slot, now).fault_code == kIdOutOfRange, "slot %d was written", slot);
  CHECK(write(std::vector<float>(5, 1), 0, now).kind == Outcome::bad_binding, "more numbers than a slot has were written");
}

}  // namespace frugal::test
