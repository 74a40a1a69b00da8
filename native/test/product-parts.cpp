// What a product does besides: bias, gate, second matrix, residual, several products of the same rows; and products of two activations.
#include <math.h>

#include "stored.h"
#include "trial.h"

namespace frugal::test {

struct Parts {
  bool bias, up, residual;
  int gate;
};

static const Format& format_of(int type) {
  for (const Format& format : formats())
    if (format.type == type) return format;
  return formats()[0];
}

// The product alone gives the numbers; the parts are then added in the order that linear states.
static std::vector<double> finished(const std::vector<float>& product, const std::vector<float>& up, const std::vector<float>& bias,
                                    const std::vector<float>& residual, const Parts& parts) {
  std::vector<double> y;
  for (size_t i = 0; i < product.size(); ++i) {
    double v = product[i];
    if (parts.bias) v += bias[i % bias.size()];
    if (parts.gate == 0) v = v / (1 + ::exp(-v));
    if (parts.gate == 3) v = v > 0 ? v : 0;
    if (parts.up) v *= up[i];
    if (parts.residual) v += residual[i];
    y.push_back(v);
  }
  return y;
}

static void check_parts(const KernelSet& set, const Format& first, const Format& second, int64_t rows, int64_t outputs,
                        const Parts& parts) {
  describe(print("%s %s and %s, %lld rows, %lld outputs, bias %d, second %d, residual %d, gate %d", set.name, first.name, second.name,
                 whole(rows), whole(outputs), parts.bias, parts.up, parts.residual, parts.gate));
  Random random(rows * outputs);
  const int64_t inputs = 256;
  const auto x = random.normals(rows * inputs, 0.1f), bias = random.normals(outputs), residual = random.normals(rows * outputs);
  const auto stored = random_rows(first, outputs, inputs, random), stored_up = random_rows(second, outputs, inputs, random);
  for (const int threads : {1, 2}) {
    Trial trial(set, threads);
    const Place from = trial.input(x, {rows, inputs}), codes = trial.activations(rows, inputs),
                w = trial.matrix(first.type, outputs, inputs, stored), v = trial.matrix(second.type, outputs, inputs, stored_up);
    const Place y = trial.output({rows, outputs}), product = trial.output({rows, outputs}), up = trial.output({rows, outputs});
    trial.step(kKernel_quantize, {from, codes});
    trial.step(kKernel_linear, {from, codes, w, nothing(), product, nothing(), nothing(), v, nothing(), up, nothing(), nothing()},
               {-1, -1});
    trial.step(kKernel_linear,
               {from, codes, w, parts.up ? v : nothing(), y, parts.bias ? trial.vector(bias) : nothing(),
                parts.residual ? trial.input(residual, {rows, outputs}) : nothing()},
               {parts.gate});
    trial.must_run();
    const auto expected = finished(trial.copy(product), trial.copy(up), bias, residual, parts);
    for (int64_t i = 0; i < rows * outputs; ++i)
      CHECK(fabs(trial.floats(y)[i] - expected[size_t(i)]) <= 4e-6 * fmax(1, fabs(expected[size_t(i)])),
            "%d threads, element %lld: %.9g, should be %.9g", threads, whole(i), trial.floats(y)[i], expected[size_t(i)]);
  }
}

KERNEL_TEST(product_parts) {
  for (const int64_t rows : {1, 19})
    for (const int64_t outputs : {47, 64})
      for (int bits = 0; bits < 8; ++bits)
        for (const int gate : {-1, 0, 3}) {
          const Parts parts{(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, gate};
          check_parts(set, format_of(12), format_of(14), rows, outputs, parts);
          check_parts(set, format_of(0), format_of(8), rows, outputs, parts);
          check_parts(set, format_of(1), format_of(1), rows, outputs, parts);
        }
}

// Sixteen products in a step, of all formats and of different widths: each as if it were alone.
KERNEL_TEST(products_together) {
  for (const int64_t rows : {1, 5})
    for (const int threads : kThreadCounts) {
      describe(print("%s, %lld rows, %d threads", set.name, whole(rows), threads));
      Random random(rows);
      const int64_t inputs = 256;
      Trial trial(set, threads);
      const Place x = trial.input(random.normals(rows * inputs), {rows, inputs}), codes = trial.activations(rows, inputs);
      std::vector<Place> places = {x, codes}, together, alone;
      trial.step(kKernel_quantize, {x, codes});
      for (size_t i = 0; i < 16; ++i) {
        const Format& format = formats()[i];
        const int64_t outputs = int64_t(1 + i * 7);
        const Place w = trial.matrix(format.type, outputs, inputs, random_rows(format, outputs, inputs, random));
        together.push_back(trial.output({rows, outputs})), alone.push_back(trial.output({rows, outputs}));
        places.insert(places.end(), {w, nothing(), together.back(), nothing(), nothing()});
        trial.step(kKernel_linear, {x, codes, w, nothing(), alone.back(), nothing(), nothing()}, {-1});
      }
      trial.step(kKernel_linear, places, std::vector<int32_t>(16, -1), {});
      trial.must_run();
      for (size_t i = 0; i < 16; ++i)
        CHECK(trial.copy(together[i]) == trial.copy(alone[i]), "product %zu (%s) differs", i, formats()[i].name);
    }
}

}  // namespace frugal::test
