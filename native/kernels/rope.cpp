// rope: rotates pairs of channels of each head by position * frequency. Op: src/ops/rope.ts
// arrays: x [rows, heads * size], positions [rows], frequencies [pairs], y; integers: head size, style (0 half, 1 interleaved); numbers: magnitude.
#include "kernel.h"

KERNEL(rope) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &positions = step.arrays[1], &frequencies = step.arrays[2], &y = step.arrays[3];
  const int64_t size = step.integers[0], pairs = frequencies.size(), width = x.last(), heads = width / size;
  const bool interleaved = step.integers[1] != 0;
  const float magnitude = step.numbers[0];
  if (step.scratch_bytes < size_t(pairs) * 8) return raise(step, kScratchTooSmall);
  float *sine = reinterpret_cast<float*>(step.scratch), *cosine = sine + pairs;
  share(step, x.rows(), row_grain(8 * width), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      for (int64_t i = 0; i < pairs; ++i) {
        sin_cos(float(positions.i()[r]) * frequencies.f()[i], sine + i, cosine + i);
        sine[i] *= magnitude;
        cosine[i] *= magnitude;
      }
      for (int64_t h = 0; h < heads; ++h) {
        const float* from = x.f() + r * width + h * size;
        float* to = y.f() + r * width + h * size;
        if (interleaved) {
          for (int64_t i = 0; i < pairs; ++i) {
            const float a = from[2 * i], b = from[2 * i + 1];
            to[2 * i] = a * cosine[i] - b * sine[i];
            to[2 * i + 1] = a * sine[i] + b * cosine[i];
          }
        } else {
          each(from, pairs, 0, [&](F32 a, int64_t i, int n) {
            const F32 b = load_first(from + pairs + i, n, 0), s = load_first(sine + i, n, 0), c = load_first(cosine + i, n, 0);
            store_first(to + i, n, a * c - b * s);
            store_first(to + pairs + i, n, a * s + b * c);
          });
        }
        if (to != from) memcpy(to + 2 * pairs, from + 2 * pairs, size_t(size - 2 * pairs) * 4);
      }
    }
  });
}
