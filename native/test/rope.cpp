// Rotations against the definition in double: both styles, partial rotations, magnitudes, far positions, in place.
#include <math.h>

#include "random.h"
#include "trial.h"

namespace frugal::test {

KERNEL_TEST(rope) {
  struct Shape {
    int heads, size, pairs;
  };
  for (const Shape& shape :
       {Shape{1, 2, 1}, Shape{3, 8, 4}, Shape{2, 14, 7}, Shape{2, 64, 32}, Shape{1, 80, 16}, Shape{4, 34, 17}, Shape{2, 5, 1}})
    for (const int style : {0, 1})
      for (const float magnitude : {1.0f, 1.25f}) {
        describe(print("%s, %d heads of %d, %d pairs, style %d", set.name, shape.heads, shape.size, shape.pairs, style));
        Random random(shape.size);
        const std::vector<int32_t> positions = {0, 1, 2, 31, 4095, 131071, 1000000};
        const int64_t rows = int64_t(positions.size()), width = shape.heads * shape.size;
        const auto x = random.normals(rows * width);
        std::vector<float> frequencies;
        for (int i = 0; i < shape.pairs; ++i) frequencies.push_back(float(pow(10000, -double(i) / shape.pairs)));
        for (const int threads : kThreadCounts)
          for (const bool in_place : {false, true}) {
            Trial trial(set, threads);
            const Place from = trial.input(x, {rows, width}), y = in_place ? from : trial.output({rows, width});
            trial.step(kKernel_rope, {from, trial.input(positions, {rows}), trial.vector(frequencies), y}, {shape.size, style},
                       {magnitude});
            trial.must_run();
            for (int64_t r = 0; r < rows; ++r)
              for (int64_t c = 0; c < width; ++c) {
                const int within = int(c % shape.size), i = style ? within / 2 : within % shape.pairs;
                double expected = x[size_t(r * width + c)];
                if (within < 2 * shape.pairs) {
                  const bool second = style ? within % 2 == 1 : within >= shape.pairs;
                  const size_t a = size_t(r * width + c - within + (style ? 2 * i : i)), b = a + size_t(style ? 1 : shape.pairs);
                  const double angle = double(float(positions[size_t(r)]) * frequencies[size_t(i)]);
                  expected = magnitude * (second ? x[a] * ::sin(angle) + x[b] * ::cos(angle) : x[a] * ::cos(angle) - x[b] * ::sin(angle));
                }
                const float got = trial.floats(y)[r * width + c];
                CHECK(fabs(got - expected) <= 2e-6, "row %lld, channel %lld: %.9g, should be %.9g", whole(r), whole(c), got, expected);
              }
          }
      }
}

}  // namespace frugal::test
