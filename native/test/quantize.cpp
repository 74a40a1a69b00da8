// Activations as 8-bit codes: within half a step of the numbers, sums that belong to the codes, and a row that depends on itself alone.
#include <math.h>
#include <string.h>

#include "../kernels/activations.h"
#include "stored.h"
#include "trial.h"

namespace frugal::test {

KERNEL_TEST(quantize) {
  for (const int64_t inputs : {32, 64, 96, 1024})
    for (const int64_t rows : {1, 2, 5, 40}) {
      describe(print("%s, %lld x %lld", set.name, whole(rows), whole(inputs)));
      Random random(inputs + rows);
      std::vector<float> x = random.normals(rows * inputs);
      for (int64_t i = 0; i < rows * inputs; ++i) x[size_t(i)] *= ldexpf(1, int(i / 32 % 60) - 30);
      for (int i = 0; i < 32; ++i) x[size_t(i)] = 0;
      for (const int threads : kThreadCounts) {
        Trial trial(set, threads);
        const Place codes = trial.activations(rows, inputs);
        trial.step(kKernel_quantize, {trial.input(x, {rows, inputs}), codes});
        trial.must_run();
        const Activations a(trial.bound(codes).data(), rows, inputs);
        for (int64_t b = 0; b < rows * inputs / 32; ++b) {
          float peak = 0;
          int sums[2] = {0, 0};
          for (int64_t i = 0; i < 32; ++i) peak = fmaxf(peak, fabsf(x[size_t(32 * b + i)])), sums[i / 16] += a.codes[32 * b + i];
          CHECK(a.scale[b] == peak / 127.0f, "block %lld: scale %g, should be %g", whole(b), a.scale[b], peak / 127.0f);
          for (int64_t i = 32 * b; i < 32 * b + 32; ++i)
            CHECK(abs(a.codes[i]) <= 127 && fabs(double(a.codes[i]) * a.scale[b] - x[size_t(i)]) <= a.scale[b] * 0.5001,
                  "%g became %d * %g", x[size_t(i)], a.codes[i], a.scale[b]);
          CHECK(a.minus32[b] == -sums[0] - sums[1] && a.minus16[2 * b] == -sums[0] && a.minus16[2 * b + 1] == -sums[1],
                "block %lld: sums %d and %d", whole(b), sums[0], sums[1]);
          CHECK(a.sum32[b] == a.scale[b] * float(sums[0] + sums[1]) && a.sum16[2 * b] == a.scale[b] * float(sums[0]),
                "block %lld: scaled sums", whole(b));
        }
      }
    }
}

// One number that is not finite makes the row's products NaN, and no other row's; tiny numbers count as zeros.
KERNEL_TEST(quantize_not_finite) {
  for (const float bad : {NAN, INFINITY, -INFINITY, -NAN}) {
    describe(print("%s, %g", set.name, bad));
    std::vector<float> x(3 * 96, 1.0f);
    x[96 + 70] = bad;
    for (int i = 0; i < 32; ++i) x[size_t(2 * 96 + i)] = 1e-42f;
    const std::vector<uint8_t> ones(17 * 3 * 34, 1);  // Q8_0: scale 1.5e-5, codes 1
    Trial trial(set);
    const Place from = trial.input(x, {3, 96}), codes = trial.activations(3, 96), y = trial.output({3, 17});
    trial.step(kKernel_quantize, {from, codes});
    trial.step(kKernel_linear, {from, codes, trial.matrix(8, 17, 96, ones), nothing(), y, nothing(), nothing()}, {-1});
    trial.must_run();
    for (int i = 0; i < 51; ++i) {
      const float got = trial.floats(y)[i];
      const bool nan = i / 17 == 1;
      CHECK(nan ? isnan(got) : got > 0 && got < 1, "row %d: %g", i / 17, got);
    }
    const double first = trial.floats(y)[0], third = trial.floats(y)[34];
    CHECK(fabs(third * 3 - first * 2) < 1e-6 * first, "a row with 64 of 96 ones gives %g, with 96 of 96 %g", third, first);
  }
}

}  // namespace frugal::test
