// Attention within the rows of a step: against the definition, ragged, and the same bits whatever the threads and the neighbours.
#include <math.h>

#include "attend.h"
#include "trial.h"

namespace frugal::test {

struct Rows {
  Attention attention;
  std::vector<float> q, k, v;
  std::vector<int32_t> offsets;
};

static Outcome attend_rows(const KernelSet& set, int threads, const Rows& x, int64_t rows, std::vector<float>* result) {
  const Attention& a = x.attention;
  const int64_t sequences = int64_t(x.offsets.size()) - 1, width = a.key_heads * (a.size + a.value_size), tokens = rows + 32 * sequences;
  Trial trial(set, threads);
  const Place offsets = trial.input(x.offsets, {sequences + 1}), pages = trial.output({tokens, width}),
              y = trial.output({rows, a.heads * a.value_size});
  trial.step(kKernel_attention_write,
             {trial.input(x.k, {rows, a.key_heads * a.size}), trial.input(x.v, {rows, a.key_heads * a.value_size}), offsets, pages},
             {a.key_heads});
  trial.step(kKernel_attention, {trial.input(x.q, {rows, a.heads * a.size}), offsets, pages, y}, a.rule(), a.numbers());
  const Outcome outcome = trial.run();
  if (result) *result = trial.copy(y);
  return outcome;
}

static Rows random_rows_of(const Attention& a, const std::vector<int32_t>& offsets, int64_t seed) {
  Random random(seed);
  const int64_t rows = offsets.back();
  return {a, random.normals(rows * a.heads * a.size), random.normals(rows * a.key_heads * a.size),
          random.normals(rows * a.key_heads * a.value_size), offsets};
}

KERNEL_TEST(attention_rows) {
  for (size_t i = 0; i < attentions().size(); ++i)
    for (const bool causal : {true, false})
      for (const std::vector<int32_t>& offsets : std::vector<std::vector<int32_t>>{{0, 1}, {0, 33}, {0, 3, 3, 64, 65, 100}}) {
        Attention a = attentions()[i];
        a.causal = causal;
        describe(print("%s, attention %zu, %d rows, causal %d", set.name, i, offsets.back(), causal));
        const Rows x = random_rows_of(a, offsets, int64_t(i));
        std::vector<float> all;
        const Outcome outcome = attend_rows(set, 1, x, offsets.back(), &all);
        CHECK(outcome.kind == Outcome::done, "outcome %d", int(outcome.kind));
        const std::vector<double> keys(x.k.begin(), x.k.end()), values(x.v.begin(), x.v.end());
        const int64_t width = a.heads * a.value_size;
        for (size_t s = 0; s + 1 < offsets.size(); ++s)
          for (int64_t t = offsets[s]; t < offsets[s + 1]; ++t) {
            const auto expected =
                attend(a, x.q.data() + t * a.heads * a.size, t - offsets[s], keys.data() + offsets[s] * a.key_heads * a.size,
                       values.data() + offsets[s] * a.key_heads * a.value_size, offsets[s + 1] - offsets[s]);
            for (int64_t c = 0; c < width; ++c) {
              const float got = all[size_t(t * width + c)];
              CHECK(fabs(got - expected[size_t(c)]) <= 2e-5, "row %lld, channel %lld: %.9g, should be %.9g", whole(t), whole(c), got,
                    expected[size_t(c)]);
            }
          }
        for (const int threads : kThreadCounts) {
          std::vector<float> again;
          attend_rows(set, threads, x, offsets.back(), &again);
          CHECK(first_difference(all.data(), again.data(), int64_t(all.size())) < 0, "%d threads change the result", threads);
        }
        // The last sequence alone.
        const int64_t first = offsets[offsets.size() - 2];
        Rows alone = x;
        alone.offsets = {0, int32_t(offsets.back() - first)};
        alone.q.erase(alone.q.begin(), alone.q.begin() + first * a.heads * a.size);
        alone.k.erase(alone.k.begin(), alone.k.begin() + first * a.key_heads * a.size);
        alone.v.erase(alone.v.begin(), alone.v.begin() + first * a.key_heads * a.value_size);
        std::vector<float> last;
        attend_rows(set, 2, alone, alone.offsets[1], &last);
        CHECK(first_difference(last.data(), all.data() + first * width, int64_t(last.size())) < 0, "company changes the result");
      }
}

KERNEL_TEST(attention_rows_refuses) {
  const std::vector<std::vector<int32_t>> broken = {{0, 5, 2, 9},      {0, 8},         {0, 10}, {1, 9}, {0, -1, 9},
                                                    {0, INT32_MAX, 9}, {INT32_MIN, 9}, {9, 9}};
  for (const auto& offsets : broken)
    for (const int threads : kThreadCounts) {
      Rows x = random_rows_of(attentions()[1], {0, 9}, 1);
      x.offsets = offsets;
      const Outcome outcome = attend_rows(set, threads, x, 9, nullptr);
      CHECK(outcome.kind == Outcome::fault && outcome.fault_code == kIdOutOfRange, "offsets %d, %d...: outcome %d, fault %d", offsets[0],
            offsets[1], int(outcome.kind), outcome.fault_code);
    }
}

}  // namespace frugal::test
