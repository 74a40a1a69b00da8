// Attention over a paged cache: against the definition, and the same bits however a prompt is cut, pages lie, threads share, neighbours attend.
#include <math.h>

#include <algorithm>

#include "attend.h"
#include "stored.h"
#include "trial.h"

namespace frugal::test {

struct Prompt {
  Attention attention;
  int64_t tokens;
  std::vector<float> q, k, v;
  Prompt(const Attention& a, int64_t tokens_, int64_t seed) : attention(a), tokens(tokens_) {
    Random random(seed);
    q = random.normals(tokens * a.heads * a.size), k = random.normals(tokens * a.key_heads * a.size),
    v = random.normals(tokens * a.key_heads * a.value_size);
  }
};

// One step of several sequences: of each, rows from `from[s]` up to `to[s]`.
struct Batch {
  const KernelSet& set;
  int threads, format;
  std::vector<const Prompt*> prompts;
  std::vector<int32_t> table;  // [sequences, columns]
  int32_t columns;
  int64_t pages;
};

// Feeds all prompts to one model, `chunk` rows of each at a time, and returns the results by prompt.
static std::vector<std::vector<float>> feed(const Batch& batch, int64_t chunk) {
  const Attention& a = batch.prompts[0]->attention;
  const int64_t count = int64_t(batch.prompts.size());
  std::vector<std::vector<float>> results(batch.prompts.size());
  // A program has fixed sizes here, so each chunk's is another program of the same model.
  Model model(batch.set, batch.threads);
  const bool allocated =
      model.allocate(0, size_t(1) << 16, batch.format, {3, 5, 6, 1, a.key_heads, a.size, a.value_size, int32_t(batch.pages)});
  CHECK(allocated, "no memory for %lld pages", whole(batch.pages));
  for (int64_t from = 0;; from += chunk) {
    std::vector<float> q, k, v;
    std::vector<int32_t> positions, offsets = {0}, lengths;
    for (const Prompt* p : batch.prompts) {
      const int64_t first = from < p->tokens ? from : p->tokens, last = from + chunk < p->tokens ? from + chunk : p->tokens;
      const auto part = [&](std::vector<float>& to, const std::vector<float>& all, int64_t width) {
        to.insert(to.end(), all.begin() + first * width, all.begin() + last * width);
      };
      part(q, p->q, a.heads * a.size), part(k, p->k, a.key_heads * a.size), part(v, p->v, a.key_heads * a.value_size);
      for (int64_t t = first; t < last; ++t) positions.push_back(int32_t(t));
      offsets.push_back(int32_t(positions.size()));
      lengths.push_back(int32_t(last));
    }
    const int64_t rows = int64_t(positions.size());
    if (rows == 0) return results;
    Trial words(batch.set);
    const Place pq = words.input(q, {rows, a.heads * a.size}), pk = words.input(k, {rows, a.key_heads * a.size}),
                pv = words.input(v, {rows, a.key_heads * a.value_size}), at = words.input(positions, {rows}),
                cuts = words.input(offsets, {count + 1}), ends = words.input(lengths, {count}),
                table = words.input(batch.table, {count, batch.columns}), y = words.output({rows, a.heads * a.value_size});
    words.step(kKernel_cache_write, {pk, pv, at, cuts, ends, table}, {1});
    std::vector<int32_t> integers = {1};
    for (const int32_t i : a.rule()) integers.push_back(i);
    words.step(kKernel_cache_attend, {pq, at, cuts, ends, table, y}, integers, a.numbers());
    words.run_with(model);
    for (int64_t s = 0; s < count; ++s)
      results[size_t(s)].insert(results[size_t(s)].end(), words.floats(y) + offsets[size_t(s)] * a.heads * a.value_size,
                                words.floats(y) + offsets[size_t(s + 1)] * a.heads * a.value_size);
  }
}

// A table in which sequence s has the pages order[s * columns...].
static Batch batch_of(const KernelSet& set, int threads, int format, const std::vector<const Prompt*>& prompts,
                      const std::vector<int32_t>& order) {
  return {set, threads, format, prompts, order, int32_t(order.size() / prompts.size()), int64_t(order.size())};
}

// What the cache keeps of rows of `size` numbers: halves, or bytes of a half's scale for 32 of them, or nibbles.
static std::vector<double> kept_nibbles(const std::vector<float>& x, int size) {
  std::vector<double> y(x.size());
  for (size_t row = 0; row < x.size(); row += size_t(size))
    for (size_t first = row; first < row + size_t(size); first += 32) {
      const size_t last = std::min(first + 32, row + size_t(size));
      float peak = 0;
      for (size_t i = first; i < last; ++i)
        if (fabsf(x[i]) > fabsf(peak) || (x[i] < 0 && x[i] == -peak)) peak = x[i];
      const float scale = float(_Float16(peak / -8)), inverse = scale != 0 ? 1 / scale : 0;
      for (size_t i = first; i < last; ++i) y[i] = double(scale) * fmax(-8, fmin(7, rintf(x[i] * inverse)));
    }
  return y;
}
static std::vector<double> kept(int format, const std::vector<float>& x, int size, bool values) {
  if (format == Cache::q4_0) return values ? kept_nibbles(x, size) : kept(Cache::q8_0, x, size, false);
  std::vector<double> y(x.begin(), x.end());
  if (format == Cache::f16)
    for (double& v : y) v = double(_Float16(v));
  for (size_t row = 0; format == Cache::q8_0 && row < x.size(); row += size_t(size))
    for (size_t first = row; first < row + size_t(size); first += 32) {
      const size_t last = std::min(first + 32, row + size_t(size));
      float peak = 0;
      for (size_t i = first; i < last; ++i) peak = fmaxf(peak, fabsf(x[i]));
      const float scale = float(_Float16(peak / 127)), inverse = scale > 0 ? 1 / scale : 0;
      for (size_t i = first; i < last; ++i) y[i] = double(scale) * fmax(-127, fmin(127, rintf(x[i] * inverse)));
    }
  return y;
}

// Queries, weights and values are 16-bit integers where the cache has bytes.
static double tolerance(int format) { return format >= Cache::q8_0 ? 1.5e-3 : 2e-5; }

static void compare(const Prompt& prompt, int format, const std::vector<float>& y) {
  const Attention& a = prompt.attention;
  const std::vector<double> keys = kept(format, prompt.k, a.size, false), values = kept(format, prompt.v, a.value_size, true);
  const int64_t width = a.heads * a.value_size;
  CHECK(int64_t(y.size()) == prompt.tokens * width, "%zu numbers", y.size());
  for (int64_t t = 0; t < prompt.tokens; ++t) {
    const auto expected = attend(a, prompt.q.data() + t * a.heads * a.size, t, keys.data(), values.data(), t + 1);
    for (int64_t i = 0; i < width; ++i) {
      const float got = y[size_t(t * width + i)];
      CHECK(fabs(got - expected[size_t(i)]) <= tolerance(format), "row %lld, channel %lld: %.9g, should be %.9g", whole(t), whole(i), got,
            expected[size_t(i)]);
    }
  }
}

static void same(const std::vector<float>& got, const std::vector<float>& expected, const char* what) {
  const int64_t bad = got.size() == expected.size() ? first_difference(got.data(), expected.data(), int64_t(got.size())) : 0;
  CHECK(bad < 0, "%s changes element %lld", what, whole(bad));
}

KERNEL_TEST(attention_cache) {
  for (const int format : {Cache::f32, Cache::f16, Cache::q8_0, Cache::q4_0})
    for (size_t i = 0; i < attentions().size(); ++i) {
      const Attention& a = attentions()[i];
      describe(print("%s, attention %zu, cache format %d", set.name, i, format));
      const Prompt prompt(a, 77, int64_t(i));
      const auto all = feed(batch_of(set, 1, format, {&prompt}, {0, 1, 2}), 77)[0];
      compare(prompt, format, all);
      for (const int64_t chunk : {1, 7, 32, 50})
        same(feed(batch_of(set, 1, format, {&prompt}, {0, 1, 2}), chunk)[0], all,
             print("feeding %lld rows at a time", whole(chunk)).c_str());
      same(feed(batch_of(set, 1, format, {&prompt}, {4, 0, 3, 2, 1}), 77)[0], all, "another order of pages");
      for (const int threads : kThreadCounts)
        same(feed(batch_of(set, threads, format, {&prompt}, {0, 1, 2}), 20)[0], all, print("%d threads", threads).c_str());
      const Prompt longer(a, 90, 100), shorter(a, 3, 101);
      const auto crowd = feed(batch_of(set, 2, format, {&longer, &prompt, &shorter}, {8, 3, 5, 2, 7, 1, 4, 0, 6}), 40);
      same(crowd[1], all, "company");
      compare(longer, format, crowd[0]);
      compare(shorter, format, crowd[2]);
    }
}

// F16 in the cache is rounded to nearest even, subnormals included, and too large becomes infinite.
KERNEL_TEST(attention_cache_rounding) {
  Random random(9);
  const Attention one{.heads = 1, .key_heads = 1, .size = 1, .value_size = 1024};
  Prompt prompt(one, 30, 9);
  for (float& x : prompt.v) x = ldexpf(random.uniform(-1, 1), random.below(42) - 26);
  prompt.v[0] = 65519.9f, prompt.v[1] = -65504, prompt.v[2] = 0x1p-25f, prompt.v[3] = 0x1.000002p-25f, prompt.v[4] = -0.0f,
  prompt.v[5] = 0x1.ffcp-15f;
  // A row that sees only itself returns its value as it was kept.
  prompt.attention.window = 1;
  const auto y = feed(batch_of(set, 1, Cache::f16, {&prompt}, {0}), 30)[0];
  const auto expected = kept(Cache::f16, prompt.v, one.value_size, true);
  for (size_t i = 0; i < y.size(); ++i) CHECK(double(y[i]) == expected[i], "%a became %a, should be %a", prompt.v[i], y[i], expected[i]);
}

// In Q8_0 and Q4_0 every 32 channels have a scale of their own, the last ones too where they are fewer; one without a normal half is kept as it can.
KERNEL_TEST(attention_cache_blocks) {
  Prompt prompt({.heads = 1, .key_heads = 1, .size = 200, .value_size = 200, .window = 1}, 40, 10);
  const float sizes[] = {1, 0.01f, 30, 0, 1e-4f, 1e-7f, 2};
  for (size_t i = 0; i < prompt.v.size(); ++i) prompt.v[i] *= sizes[i % 200 / 32];
  for (const int format : {Cache::q8_0, Cache::q4_0}) {
    describe(print("%s, cache format %d", set.name, format));
    const auto y = feed(batch_of(set, 1, format, {&prompt}, {0, 1}), 40)[0];
    const auto expected = kept(format, prompt.v, 200, true);
    // Of a value, in units of its largest: what 15 bits of the blocks' scales and of the numbers leave.
    for (size_t i = 0; i < y.size(); ++i)
      CHECK(fabs(y[i] - expected[i]) <= 4e-3, "%.9g became %.9g, should be %.9g", prompt.v[i], y[i], expected[i]);
  }

  // Keys are exact: small blocks decide where queries look away from the large one.
  Prompt keys({.heads = 1, .key_heads = 1, .size = 64, .value_size = 32, .scale = 1}, 40, 11);
  for (size_t i = 0; i < keys.k.size(); ++i) {
    keys.k[i] *= i % 64 < 32 ? 1000.0f : 0.01f;
    keys.q[i] *= i % 64 < 32 ? 0.0f : 50.0f;
  }
  compare(keys, Cache::q8_0, feed(batch_of(set, 1, Cache::q8_0, {&keys}, {0, 1}), 40)[0]);
}

// A number that is not finite is seen by those who see its token. Bytes hide it from all others, floats from those of earlier steps.
KERNEL_TEST(attention_cache_broken) {
  const Attention a{.heads = 2, .key_heads = 1, .size = 40, .value_size = 40};
  for (const int format : {Cache::f32, Cache::f16, Cache::q8_0, Cache::q4_0})
    for (const float broken : {NAN, INFINITY, -INFINITY})
      for (const bool key : {true, false}) {
        if (key && isinf(broken)) continue;  // its products may well be finite weights: 0
        describe(print("%s, cache format %d, %g in a %s", set.name, format, double(broken), key ? "key" : "value"));
        Prompt prompt(a, 50, 12);
        (key ? prompt.k : prompt.v)[size_t(45 * 40 + 3)] = broken;
        const auto y = feed(batch_of(set, 1, format, {&prompt}, {0, 1}), format >= Cache::q8_0 ? 50 : 1)[0];
        for (int64_t t = 0; t < 50; ++t)
          CHECK(isfinite(y[size_t(t * 80 + 3)]) == (t < 45), "row %lld is %g", whole(t), double(y[size_t(t * 80 + 3)]));
      }
}

KERNEL_TEST(attention_cache_bytes) {
  const auto bytes = [&](int format, const std::vector<int32_t>& layers) {
    Model model(set, 1);
    CHECK(model.allocate(0, 64, format, layers), "no memory");
    return int64_t(model.cache_bytes());
  };
  struct Size {
    int size, q8_0, nibbles;
  };
  for (const auto& [size, q8_0, nibbles] : std::vector<Size>{{32, 34, 18}, {256, 272, 144}, {80, 86, 54}, {64, 68, 36}}) {
    describe(print("size %d", size));
    CHECK(bytes(Cache::f32, {3, size, size, 5}) == 5 * 32 * 3 * 2 * 4 * size, "F32");
    CHECK(bytes(Cache::f16, {3, size, size, 5}) == 5 * 32 * 3 * 2 * 2 * size, "F16");
    CHECK(bytes(Cache::q8_0, {3, size, size, 5}) == 5 * 32 * 3 * 2 * q8_0, "Q8_0");
    CHECK(bytes(Cache::q4_0, {3, size, size, 5}) == 5 * 32 * 3 * (q8_0 + nibbles), "Q4_0");
  }
  // Odd keys are kept as even ones, values in whole vectors of 16.
  CHECK(bytes(Cache::q8_0, {1, 33, 17, 1, 0, 0, 0, 0, 2, 1, 1, 3}) == 32 * (34 + 4 + 32 + 2 + 3 * 2 * (2 + 2 + 16 + 2)),
        "Q8_0 of odd sizes");
  Model model(set, 1);
  CHECK(!model.allocate(0, 64, Cache::q8_0, {1, -1, 16, 1}) && !model.allocate(0, 64, Cache::q8_0, {1, 1, 16, -1}) &&
            !model.allocate(0, 64, Cache::q8_0, {1 << 20, 1 << 20, 1, 1 << 30}),
        "sizes are not refused");
}

// Ids of pages, positions, lengths and offsets come from callers.
KERNEL_TEST(attention_cache_refuses) {
  struct Fault {
    const char* what;
    std::vector<int32_t> positions, offsets, lengths, table;
  };
  const std::vector<Fault> faults = {
      {"a page too many", {30, 31}, {0, 2}, {33}, {0, 4}},
      {"a negative page", {30, 31}, {0, 2}, {32}, {-1, 0}},
      {"a length beyond the table", {30, 31}, {0, 2}, {65}, {0, 1}},
      {"a negative length", {0, 1}, {0, 2}, {-1}, {0, 1}},
      {"the largest length", {0, 1}, {0, 2}, {INT32_MAX}, {0, 1}},
      {"a position beyond the table", {30, 64}, {0, 2}, {32}, {0, 1}},
      {"a position in a page too many", {30, 32}, {0, 2}, {32}, {0, 4}},
      {"the largest position", {0, INT32_MAX}, {0, 2}, {2}, {0, 1}},
      {"a negative position", {-1, 0}, {0, 2}, {32}, {0, 1}},
      {"offsets beyond the rows", {0, 1}, {0, 3}, {2}, {0, 1}},
      {"offsets that fall", {0, 1}, {0, -1, 2}, {2, 2}, {0, 1, 2, 3}},
      {"offsets that do not begin at 0", {0, 1}, {1, 2}, {2}, {0, 1}},
  };
  for (const Fault& fault : faults)
    for (const int threads : kThreadCounts) {
      describe(print("%s, %s, %d threads", set.name, fault.what, threads));
      Trial trial(set, threads);
      trial.cache(Cache::f16, {1, 4, 4, 4});
      const int64_t count = int64_t(fault.lengths.size());
      const Place x = trial.input(std::vector<float>(8, 1.0f), {2, 4}), at = trial.input(fault.positions, {2}),
                  cuts = trial.input(fault.offsets, {count + 1}), ends = trial.input(fault.lengths, {count}),
                  table = trial.input(fault.table, {count, 2});
      trial.step(kKernel_cache_write, {x, x, at, cuts, ends, table}, {0});
      trial.step(kKernel_cache_attend, {x, at, cuts, ends, table, trial.output({2, 4})}, {0, 1, 1, 0, 1}, {1, 0});
      const Outcome outcome = trial.run();
      CHECK(outcome.kind == Outcome::fault && outcome.step == 0, "outcome %d at step %d", int(outcome.kind), outcome.step);
    }
}

}  // namespace frugal::test
