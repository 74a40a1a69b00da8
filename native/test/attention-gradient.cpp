// Gradients of attention over rows against sums in double: every rule, ragged sequences, more than a block of 64 queries and 512 keys.
#include "attend.h"
#include "compare.h"

namespace frugal::test {

struct Attended {
  std::vector<double> q, k, v;
};

// One row of one head after the other, from the definition.
static Attended gradients_of(const Attention& a, const std::vector<int32_t>& offsets, const std::vector<float>& q,
                             const std::vector<float>& k, const std::vector<float>& v, const std::vector<float>& dy) {
  Attended all{std::vector<double>(q.size(), 0), std::vector<double>(k.size(), 0), std::vector<double>(v.size(), 0)};
  const auto numbers = a.numbers();
  for (size_t s = 0; s + 1 < offsets.size(); ++s)
    for (int64_t i = offsets[s]; i < offsets[s + 1]; ++i)
      for (int h = 0; h < a.heads; ++h) {
        const int shared = h * a.key_heads / a.heads;
        const int64_t start = offsets[s], end = a.causal ? i + 1 : offsets[s + 1],
                      first = a.window > 0 && i - start >= a.window ? i - a.window + 1 : start;
        const float *query = &q[size_t((i * a.heads + h) * a.size)], *upper = &dy[size_t((i * a.heads + h) * a.value_size)];
        double* dq = &all.q[size_t((i * a.heads + h) * a.size)];
        const auto key = [&](int64_t j) { return size_t((j * a.key_heads + shared) * a.size); };
        const auto value = [&](int64_t j) { return size_t((j * a.key_heads + shared) * a.value_size); };
        std::vector<double> shares, slopes, slants;
        double peak = -INFINITY, total = 0, mean = 0;
        for (int64_t j = first; j < end; ++j) {
          double score = 0, slant = 0;
          for (int d = 0; d < a.size; ++d) score += double(query[d]) * k[key(j) + size_t(d)];
          for (int d = 0; d < a.value_size; ++d) slant += double(upper[d]) * v[value(j) + size_t(d)];
          score *= double(a.scale);
          const double bent = a.softcap > 0 ? tanh(score / a.softcap) : 0;
          if (a.softcap > 0) score = a.softcap * bent;
          if (a.slopes) score += numbers[size_t(2 + h)] * double(j - i);
          shares.push_back(score), slopes.push_back(1 - bent * bent), slants.push_back(slant);
          peak = fmax(peak, score);
        }
        for (double& share : shares) share = exp(share - peak), total += share;
        for (double& share : shares) share /= total;
        for (size_t n = 0; n < shares.size(); ++n) mean += shares[n] * slants[n];
        for (int64_t j = first; j < end; ++j) {
          const size_t n = size_t(j - first);
          const double error = shares[n] * (slants[n] - mean) * slopes[n] * double(a.scale);
          for (int d = 0; d < a.size; ++d) {
            dq[d] += error * k[key(j) + size_t(d)];
            all.k[key(j) + size_t(d)] += error * query[d];
          }
          for (int d = 0; d < a.value_size; ++d) all.v[value(j) + size_t(d)] += shares[n] * upper[d];
        }
      }
  return all;
}

static void check_gradients(const KernelSet& set, const Attention& a, const std::vector<int32_t>& offsets) {
  const int64_t rows = offsets.back(), q_width = a.heads * a.size, k_width = a.key_heads * a.size, v_width = a.key_heads * a.value_size,
                y_width = a.heads * a.value_size;
  describe(print("%s, %lld rows in %zu, %d of %d heads of %d and %d, window %d, cap %g, causal %d, slopes %d", set.name, whole(rows),
                 offsets.size() - 1, a.key_heads, a.heads, a.size, a.value_size, a.window, a.softcap, a.causal, a.slopes));
  Random random(rows + a.size);
  const auto q = random.normals(rows * q_width), k = random.normals(rows * k_width), v = random.normals(rows * v_width),
             dy = random.normals(rows * y_width);
  // Bits: 1 for dq, 2 for dk, 4 for dv.
  const auto run = [&](int threads, int wanted) {
    Trial trial(set, threads);
    trial.scratch(size_t(4) << 20);
    const Place dq = trial.output({rows, q_width}), dk = trial.output({rows, k_width}), dv = trial.output({rows, v_width});
    trial.step(kKernel_attention_gradient,
               {trial.input(q, {rows, q_width}), trial.input(k, {rows, k_width}), trial.input(v, {rows, v_width}),
                trial.input(offsets, {int64_t(offsets.size())}), trial.input(dy, {rows, y_width}), wanted & 1 ? dq : nothing(),
                wanted & 2 ? dk : nothing(), wanted & 4 ? dv : nothing()},
               a.rule(), a.numbers());
    trial.must_run();
    return Results{trial.copy(dq), trial.copy(dk), trial.copy(dv)};
  };
  const Results got = with_any_threads([&](int threads) { return run(threads, 7); });
  const Attended wanted = gradients_of(a, offsets, q, k, v, dy);
  near_largest("dq", got[0], wanted.q, 2e-5);
  near_largest("dk", got[1], wanted.k, 2e-5);
  near_largest("dv", got[2], wanted.v, 2e-5);
  if (rows > 300) return;
  for (size_t alone = 0; alone < 3; ++alone) {
    const std::vector<float> some = run(2, 1 << alone)[alone];
    CHECK(first_difference(some.data(), got[alone].data(), int64_t(some.size())) < 0, "gradient %zu alone differs", alone);
  }
}

KERNEL_TEST(attention_gradient) {
  for (Attention a : attentions())
    for (const bool causal : {true, false}) {
      a.causal = causal;
      check_gradients(set, a, {0, 5});
      check_gradients(set, a, {0, 1, 1, 66, 66, 200});
    }
  check_gradients(set, attentions()[1], {0});
  check_gradients(set, attentions()[1], {0, 0, 0});
}

// A head of keys is a piece of work, and its queries come 64 at a time with 512 keys.
KERNEL_TEST(attention_gradient_blocks) {
  const Attention all[] = {
      {.heads = 2, .key_heads = 1, .size = 8, .value_size = 8},
      {.heads = 2, .key_heads = 2, .size = 4, .value_size = 6, .causal = false},
      {.heads = 1, .key_heads = 1, .size = 8, .value_size = 8, .window = 550},
      {.heads = 2, .key_heads = 1, .size = 8, .value_size = 4, .softcap = 2, .slopes = true},
      {.heads = 1, .key_heads = 1, .size = 5, .value_size = 5, .window = 64, .causal = false, .softcap = 3, .slopes = true},
  };
  for (const Attention& a : all) check_gradients(set, a, {0, 3, 643}), check_gradients(set, a, {0, 512, 512, 577});
}

KERNEL_TEST(attention_gradient_refuses) {
  const Attention a{.heads = 2, .key_heads = 1, .size = 4, .value_size = 4};
  const std::vector<float> wide(72, 1), narrow(36, 1);
  for (const std::vector<int32_t>& offsets : std::vector<std::vector<int32_t>>{
           {0, 4, 9}, {0, 9, 9}, {0, 10, 9}, {-1, 4, 9}, {1, 4, 9}, {0, 4, 8}, {0, 4, 10}, {0, INT32_MAX, 9}, {0, INT32_MIN, 9}}) {
    Trial trial(set, 2);
    trial.scratch(size_t(4) << 20);
    trial.step(kKernel_attention_gradient,
               {trial.input(wide, {9, 8}), trial.input(narrow, {9, 4}), trial.input(narrow, {9, 4}), trial.input(offsets, {3}),
                trial.input(wide, {9, 8}), trial.output({9, 8}), trial.output({9, 4}), trial.output({9, 4})},
               a.rule(), a.numbers());
    const bool good = offsets[0] == 0 && offsets[2] == 9 && (offsets[1] == 4 || offsets[1] == 9);
    CHECK((trial.run().kind == Outcome::done) == good, "offsets %d, %d, %d", offsets[0], offsets[1], offsets[2]);
  }
}

}  // namespace frugal::test
