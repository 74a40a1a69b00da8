// Activations quantised row by row for integer products: 8-bit codes, a scale for each 32 inputs, and the codes' sums.
#pragma once
#include <stdint.h>

namespace frugal {

// Planes over all rows, one after the other. Bytes: rows * inputs * (1 + 28 / 32).
struct Activations {
  int8_t* codes = nullptr;     // [rows][inputs]
  float* scale = nullptr;      // [rows][inputs / 32]
  float* sum32 = nullptr;      // scale * sum of the codes, of 32
  float* sum16 = nullptr;      // the same of 16
  int32_t* minus32 = nullptr;  // minus the sum of 32 codes
  int32_t* minus16 = nullptr;
  int64_t inputs, blocks;

  Activations(void* data, int64_t rows, int64_t inputs_) : inputs(inputs_), blocks(inputs_ / 32) {
    if (!data) return;
    codes = static_cast<int8_t*>(data);
    scale = reinterpret_cast<float*>(codes + rows * inputs);
    sum32 = scale + rows * blocks;
    sum16 = sum32 + rows * blocks;
    minus32 = reinterpret_cast<int32_t*>(sum16 + 2 * rows * blocks);
    minus16 = minus32 + rows * blocks;
  }
};

}  // namespace frugal
