// Random numbers against Philox's published answers and libm; blocks of 8-bit codes against a search among all levels.
#include <string.h>

#include <algorithm>

#include "compare.h"

namespace frugal::test {

// One counter at a time, with products in 64 bits.
static void philox(uint32_t counter[4], uint32_t a, uint32_t b) {
  for (int round = 0; round < 10; ++round, a += 0x9e3779b9u, b += 0xbb67ae85u) {
    const uint64_t first = uint64_t(counter[0]) * 0xd2511f53u, third = uint64_t(counter[2]) * 0xcd9e8d57u;
    const uint32_t next[4] = {uint32_t(third >> 32) ^ counter[1] ^ a, uint32_t(third), uint32_t(first >> 32) ^ counter[3] ^ b,
                              uint32_t(first)};
    memcpy(counter, next, 16);
  }
}

static Results noise(const KernelSet& set, const std::vector<int32_t>& seed, int64_t count, bool normal, int32_t stream) {
  return with_any_threads([&](int threads) {
    Trial trial(set, threads);
    const Place y = trial.output({count});
    trial.step(kKernel_noise, {trial.input(seed, {2}), y}, {normal, stream});
    trial.must_run();
    return Results{trial.copy(y)};
  });
}

KERNEL_TEST(noise) {
  uint32_t known[4] = {0, 0, 0, 0};
  philox(known, 0, 0);  // the first of the answers that Random123 ships with
  CHECK(known[0] == 0x6627e8d5 && known[1] == 0xe169c58d && known[2] == 0xbc57ac4c && known[3] == 0x9b00dbd8, "%x", known[0]);
  for (const int64_t count : {0, 1, 3, 4, 5, 63, 64, 65, 4097, 30001})
    for (const std::vector<int32_t>& seed : std::vector<std::vector<int32_t>>{{0, 0}, {-7, 123456789}})
      for (const int32_t stream : {0, -1}) {
        describe(print("%s, %lld numbers, stream %d", set.name, whole(count), stream));
        const auto uniforms = noise(set, seed, count, false, stream)[0], normals = noise(set, seed, count, true, stream)[0];
        for (int64_t i = 0; i < count; i += 4) {
          uint32_t words[4] = {uint32_t(i / 4), 0, uint32_t(stream), 0};
          philox(words, uint32_t(seed[0]), uint32_t(seed[1]));
          for (int64_t j = 0; j < 4 && i + j < count; ++j) {
            const double u = double(words[j] >> 8) / 0x1p24, first = double(words[j / 2 * 2] >> 8) / 0x1p24,
                         angle = 2 * M_PI * (double(words[j / 2 * 2 + 1] >> 8) / 0x1p24);
            const double normal = sqrt(-2 * log(1 - first)) * (j % 2 ? sin(angle) : cos(angle));
            CHECK(uniforms[size_t(i + j)] == float(u), "element %lld: %.9g, should be %.9g", whole(i + j), uniforms[size_t(i + j)], u);
            CHECK(fabs(normals[size_t(i + j)] - normal) < 2e-6, "element %lld: %.9g, should be %.9g", whole(i + j), normals[size_t(i + j)],
                  normal);
          }
        }
      }
}

// All levels, sorted.
static std::vector<float> levels_of(bool has_sign) {
  std::vector<float> levels = {0, 1};
  for (int exponent = 0; exponent < 7; ++exponent) {
    const int steps = 1 << (exponent + !has_sign);
    for (int i = 0; i < steps; ++i) {
      const float level = float(pow(10, exponent - 6) * (0.1 + 0.9 * (i + 0.5) / steps));
      levels.push_back(level);
      if (has_sign) levels.push_back(-level);
    }
  }
  std::sort(levels.begin(), levels.end());
  return levels;
}

KERNEL_TEST(block_codes) {
  for (const bool has_sign : {false, true})
    for (const int64_t count : {0, 1, 255, 256, 257, 9000}) {
      describe(print("%s, %lld numbers, sign %d", set.name, whole(count), has_sign));
      Random random(count);
      auto x = random.normals(count);
      for (int64_t i = 0; i < count; ++i) x[size_t(i)] *= powf(10, float(i % 97) / -12) * (i / 256 % 3 == 1 ? 1e20f : 1);
      for (int64_t i = 512; i < 768 && i < count; ++i) x[size_t(i)] = 0;
      const int64_t blocks = (count + 255) / 256;
      const Results got = with_any_threads([&](int threads) {
        Trial trial(set, threads);
        const Place codes = trial.output({blocks, 66}), back = trial.output({count});
        trial.step(kKernel_block_quantize, {trial.input(x, {count}), codes}, {has_sign});
        trial.step(kKernel_block_dequantize, {codes, back}, {has_sign});
        trial.must_run();
        return Results{trial.copy(codes), trial.copy(back)};
      });
      const auto levels = levels_of(has_sign);
      for (int64_t block = 0; block < blocks; ++block) {
        const size_t first = size_t(block * 256), last = size_t(std::min(count, block * 256 + 256));
        float peak = 0;
        for (size_t i = first; i < last; ++i) peak = fmaxf(peak, fabsf(x[i]));
        CHECK(got[0][size_t(block * 66)] == peak, "block %lld: peak %g, should be %g", whole(block), got[0][size_t(block * 66)], peak);
        for (size_t i = 2; i < 66; ++i)
          CHECK(isnormal(got[0][size_t(block * 66) + i]), "block %lld, word %zu is not a normal number", whole(block), i);
        for (size_t i = first; i < last; ++i) {
          double best = INFINITY;
          for (const float level : levels) best = fmin(best, fabs(double(level) * peak - x[i]));
          const double error = fabs(double(got[1][i]) - x[i]);
          CHECK(error <= best + 1e-6 * peak, "element %zu: %.9g for %.9g, %.3g away from the nearest level", i, got[1][i], x[i], best);
        }
      }
    }
}

// Numbers that are none change nothing but themselves; blocks of any words are read.
KERNEL_TEST(block_codes_of_anything) {
  Random random(1);
  for (const float odd : {NAN, -NAN, INFINITY, -INFINITY, 1e-42f}) {
    std::vector<float> x(300, 0.5f);
    x[7] = odd, x[290] = 2;
    Trial trial(set);
    const Place codes = trial.output({2, 66}), back = trial.output({300});
    trial.step(kKernel_block_quantize, {trial.input(x, {300}), codes}, {1});
    trial.step(kKernel_block_dequantize, {codes, back}, {1});
    trial.must_run();
    const float peak = trial.floats(codes)[0];
    CHECK(isnan(odd) ? isnan(peak) : peak == fmaxf(0.5f, fabsf(odd)), "the peak of a block with %g is %g", odd, peak);
    CHECK(trial.floats(codes)[66] == 2 && trial.floats(back)[290] == 2, "the other block gave %g", trial.floats(back)[290]);
  }
  std::vector<int32_t> any;
  for (int i = 0; i < 5 * 66; ++i) any.push_back(int32_t(random.bits()));
  Trial trial(set);
  trial.step(kKernel_block_dequantize, {trial.input(any, {5, 66}), trial.output({1280})}, {0});
  trial.must_run();
}

}  // namespace frugal::test
