// Rows as 16-bit floats, two to a word, and back: each the nearest there is, and the even one of two.
#include <string.h>

#include "compare.h"
#include "stored.h"

namespace frugal::test {

static double value_of(bool is_half, uint16_t bits) {
  if (is_half) return half_to_double(bits);
  const uint32_t wide = uint32_t(bits) << 16;
  float value;
  memcpy(&value, &wide, 4);
  return value;
}

// Numbers whose places in 16 bits are plain, tied, tiny, or beyond.
static std::vector<float> numbers(int64_t count, bool is_half) {
  const float plain[] = {0,           -0.0f,       1,        -1,       65504,    65519,    65520,    -1e6f, 1 + 0x1p-11f, 1 + 0x3p-11f,
                         1 + 0x1p-8f, 1 + 0x3p-8f, 0x1p-14f, 0x1p-24f, 0x1p-25f, 0x3p-25f, 0x1p-26f, 3e38f, INFINITY,     -INFINITY};
  Random random(count);
  auto x = random.normals(count);
  for (size_t i = 0; i < x.size(); ++i) x[i] = i % 3 == 0 ? plain[i / 3 % 20] : x[i] * powf(2, float(int(i % 31) - (is_half ? 18 : 15)));
  return x;
}

static void check_halves(const KernelSet& set, bool is_half, int64_t rows, int64_t width) {
  describe(print("%s, %s, %lld rows of %lld", set.name, is_half ? "f16" : "bf16", whole(rows), whole(width)));
  const auto x = numbers(rows * width, is_half);
  const int64_t words = (width + 1) / 2;
  const Results got = with_any_threads([&](int threads) {
    Trial trial(set, threads);
    const Place stored = trial.output({rows, words}), back = trial.output({rows, width});
    trial.step(kKernel_store_half, {trial.input(x, {rows, width}), stored}, {is_half});
    trial.step(kKernel_load_half, {stored, back}, {is_half});
    trial.must_run();
    return Results{trial.copy(stored), trial.copy(back)};
  });
  for (int64_t i = 0; i < rows * width; ++i) {
    uint32_t word;
    memcpy(&word, &got[0][size_t(i / width * words + i % width / 2)], 4);
    const uint16_t bits = uint16_t(word >> (16 * (i % width % 2)));
    const double value = value_of(is_half, bits), wanted = x[size_t(i)];
    CHECK(got[1][size_t(i)] == value && signbit(got[1][size_t(i)]) == signbit(wanted), "element %lld: %g of bits %x", whole(i),
          got[1][size_t(i)], bits);
    if (isinf(value)) {
      CHECK(value * wanted > 0 && fabs(wanted) >= (is_half ? 65520 : 0x1.ffp127), "element %lld: %g became infinite", whole(i), wanted);
      continue;
    }
    // Towards 0 there is none beyond 0.
    for (const int step : {-1, 1}) {
      if ((bits & 0x7fff) == 0 && step < 0) continue;
      const double other = value_of(is_half, uint16_t(bits + step)), error = fabs(value - wanted), its = fabs(other - wanted);
      CHECK(error < its || (error == its && bits % 2 == 0), "element %lld: %.9g became %.9g, but %.9g is near", whole(i), wanted, value,
            other);
    }
  }
  if (width % 2 == 0) return;
  for (int64_t r = 0; r < rows; ++r) {
    uint32_t word;
    memcpy(&word, &got[0][size_t(r * words + words - 1)], 4);
    CHECK(word >> 16 == 0, "row %lld ends with bits %x", whole(r), word >> 16);
  }
}

KERNEL_TEST(half_stored) {
  for (const bool is_half : {false, true}) {
    for (const int64_t width : {1, 2, 7, 8, 15, 16, 17, 33, 64}) check_halves(set, is_half, 9, width);
    check_halves(set, is_half, 0, 5);
    check_halves(set, is_half, 300, 101);
    Trial trial(set);
    const Place stored = trial.output({1, 10}), back = trial.output({1, 20});
    trial.step(kKernel_store_half, {trial.input(std::vector<float>(20, NAN), {1, 20}), stored}, {is_half});
    trial.step(kKernel_load_half, {stored, back}, {is_half});
    trial.must_run();
    for (const float v : trial.copy(back)) CHECK(isnan(v), "NaN became %g", v);
  }
}

}  // namespace frugal::test
