// Gradients of norms. Ops: src/ops/rms-norm.ts, layer-norm.ts. What rows add to the gradient of a weight is summed in 64 parts, whatever the
// threads, and the parts by a sum behind.
#include "kernel.h"

namespace frugal::FRUGAL_ISA {

constexpr int64_t kParts = 64;

// Calls line(row, parts of that row's part) for every row; `width` numbers a part.
template <class F> static inline void each_row(const Step& step, int64_t rows, const Array& parts, F line) {
  const int64_t chunk = (rows + kParts - 1) / kParts, width = parts.data ? parts.last() : 0;
  share(step, kParts, 1, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part) {
      float* sums = parts.data ? parts.f() + part * width : nullptr;
      if (sums) memset(sums, 0, size_t(width) * 4);
      const int64_t end = (part + 1) * chunk < rows ? (part + 1) * chunk : rows;
      for (int64_t r = part * chunk; r < end; ++r) line(r, sums);
    }
  });
}

}  // namespace frugal::FRUGAL_ISA

// arrays: x [rows, channels], weight [channels or channels / groups], dy, dx or nothing, parts of dweight [64, weight] or nothing;
// integers: groups; numbers: epsilon.
KERNEL(rms_norm_gradient) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &weight = step.arrays[1], &dy = step.arrays[2], &dx = step.arrays[3], &parts = step.arrays[4];
  const int64_t groups = step.integers[0], width = x.last() / groups;
  const bool own = weight.last() == x.last() && groups > 1;
  each_row(step, x.rows(), parts, [&](int64_t row, float* sums) {
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t at = (row * groups + g) * width;
      const float *from = x.f() + at, *upper = dy.f() + at, *w = weight.f() + (own ? g * width : 0);
      F32 squares = splat(0), products = splat(0);
      each(from, width, 0, [&](F32 v, int64_t i, int n) {
        squares = fma(v, v, squares);
        products = fma(v * load_first(w + i, n, 0), load_first(upper + i, n, 0), products);
      });
      const float scale = 1 / sqrt(splat(sum(squares) / float(width) + step.numbers[0]))[0];
      // dx = (w dy - x · mean(w dy x) · scale²) · scale
      const F32 s = splat(scale), back = splat(sum(products) / float(width) * scale * scale);
      each(from, width, 0, [&](F32 v, int64_t i, int n) {
        const F32 d = load_first(upper + i, n, 0);
        if (dx.data) store_first(dx.f() + at + i, n, (load_first(w + i, n, 0) * d - v * back) * s);
        if (sums) {
          float* to = sums + (own ? g * width : 0) + i;
          store_first(to, n, load_first(to, n, 0) + d * v * s);
        }
      });
    }
  });
}

// arrays: x [rows, channels], weight [channels], dy, dx or nothing, parts of dweight [64, channels] or nothing; numbers: epsilon.
KERNEL(layer_norm_gradient) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &weight = step.arrays[1], &dy = step.arrays[2], &dx = step.arrays[3], &parts = step.arrays[4];
  const int64_t width = x.last();
  const float by = 1 / float(width);
  each_row(step, x.rows(), parts, [&](int64_t row, float* part) {
    const float *from = x.f() + row * width, *upper = dy.f() + row * width, *w = weight.f();
    F32 sums = splat(0), squares = splat(0), gradients = splat(0), products = splat(0);
    each(from, width, 0, [&](F32 v, int64_t, int) { sums += v; });
    const float mean = sum(sums) * by;
    each(from, width, mean, [&](F32 v, int64_t i, int n) {
      const F32 centred = v - splat(mean), g = load_first(w + i, n, 0) * load_first(upper + i, n, 0);
      squares = fma(centred, centred, squares);
      gradients += g;
      products = fma(g, centred, products);
    });
    const float scale = 1 / sqrt(splat(sum(squares) * by + step.numbers[0]))[0];
    const F32 s = splat(scale), level = splat(sum(gradients) * by), back = splat(sum(products) * by * scale * scale);
    each(from, width, mean, [&](F32 v, int64_t i, int n) {
      const F32 d = load_first(upper + i, n, 0), centred = v - splat(mean);
      if (dx.data) store_first(dx.f() + row * width + i, n, (load_first(w + i, n, 0) * d - level - centred * back) * s);
      if (part) store_first(part + i, n, load_first(part + i, n, 0) + d * centred * s);
    });
  });
}
