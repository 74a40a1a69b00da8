// Attention in double, one row and head at a time, from the definition; and the numbers that a test of it needs.
#pragma once
#include <stdint.h>

#include <vector>

#include "random.h"

namespace frugal::test {

struct Attention {
  int heads, key_heads, size, value_size;
  int window = 0;
  bool causal = true;
  float scale = 0.3f, softcap = 0;
  bool slopes = false;

  std::vector<int32_t> rule() const { return {heads, key_heads, window, causal}; }
  std::vector<float> numbers() const {
    std::vector<float> all = {scale, softcap};
    for (int h = 0; slopes && h < heads; ++h) all.push_back(1.0f / float(2 << h));
    return all;
  }
};

// Grouped heads, windows, caps, slopes, sizes that are not whole vectors, value sizes that differ.
const std::vector<Attention>& attentions();

// Keys [tokens, key_heads * size] and values [tokens, key_heads * value_size] of one sequence; `query` is one row at `position`.
std::vector<double> attend(const Attention& a, const float* query, int64_t position, const double* keys, const double* values,
                           int64_t tokens);

}  // namespace frugal::test
