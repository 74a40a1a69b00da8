#include "attend.h"

#include <math.h>

namespace frugal::test {

const std::vector<Attention>& attentions() {
  static const std::vector<Attention> all = {
      {.heads = 1, .key_heads = 1, .size = 32, .value_size = 32},
      {.heads = 4, .key_heads = 2, .size = 16, .value_size = 16},
      {.heads = 6, .key_heads = 1, .size = 64, .value_size = 64, .window = 20},
      {.heads = 3, .key_heads = 3, .size = 7, .value_size = 5, .softcap = 1.5f},
      {.heads = 4, .key_heads = 2, .size = 80, .value_size = 80, .window = 1},
      {.heads = 4, .key_heads = 4, .size = 33, .value_size = 17, .slopes = true},
      {.heads = 5, .key_heads = 1, .size = 1, .value_size = 3, .window = 40, .softcap = 30, .slopes = true},
      {.heads = 2, .key_heads = 2, .size = 24, .value_size = 72, .scale = 2},
  };
  return all;
}

std::vector<double> attend(const Attention& a, const float* query, int64_t position, const double* keys, const double* values,
                           int64_t tokens) {
  const int64_t last = a.causal && position + 1 < tokens ? position + 1 : tokens,
                first = a.window > 0 && position >= a.window ? position - a.window + 1 : 0;
  std::vector<double> y;
  const auto numbers = a.numbers();
  for (int h = 0; h < a.heads; ++h) {
    const int shared = h * a.key_heads / a.heads;
    std::vector<double> scores;
    double peak = -INFINITY, total = 0;
    for (int64_t j = first; j < last; ++j) {
      double score = 0;
      for (int d = 0; d < a.size; ++d) score += double(query[h * a.size + d]) * keys[(j * a.key_heads + shared) * a.size + d];
      score *= a.scale;
      if (a.softcap > 0) score = a.softcap * tanh(score / a.softcap);
      if (a.slopes) score += numbers[size_t(2 + h)] * double(j - position);
      scores.push_back(score);
      peak = fmax(peak, score);
    }
    std::vector<double> mixed(size_t(a.value_size), 0);
    for (int64_t j = first; j < last; ++j) {
      const double share = exp(scores[size_t(j - first)] - peak);
      for (int d = 0; d < a.value_size; ++d) mixed[size_t(d)] += share * values[(j * a.key_heads + shared) * a.value_size + d];
      total += share;
    }
    for (const double m : mixed) y.push_back(total > 0 ? m / total : 0);
  }
  return y;
}

}  // namespace frugal::test
