// What a kernel is given: the step's operands resolved for this run. A program is a list of steps; see src/backends/core/words.ts.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <atomic>

#include "../formats/packed.h"

namespace frugal {

constexpr int kMaxRank = 4;
constexpr int kPageSize = 32;

// An operand: numbers, or a packed matrix.
struct Array {
  void* data = nullptr;
  const Matrix* matrix = nullptr;
  int rank = 0;
  int64_t dim[kMaxRank] = {1, 1, 1, 1};
  float* f() const { return static_cast<float*>(data); }
  int32_t* i() const { return static_cast<int32_t*>(data); }
  int64_t size() const {
    int64_t n = 1;
    for (int d = 0; d < rank; ++d) n *= dim[d];
    return n;
  }
  int64_t last() const { return rank == 0 ? 1 : dim[rank - 1]; }
  int64_t rows() const { return last() == 0 ? 0 : size() / last(); }
};

// Keys and values of all layers, in pages of 32 tokens; kernels/attention-pages.h says how a page of one head lies.
struct Cache {
  // The last keeps keys as q8_0 does, and values in 4 bits: docs/decisions/0008-values-in-four-bits.md.
  enum Format { f32, f16, q8_0, q4_0 };
  // Q8_0 keeps channels of keys, and tokens of values, in pairs, and values in whole vectors.
  static constexpr int64_t key_codes(int64_t size) { return (size + 1) / 2 * 2 * kPageSize; }
  static constexpr int64_t value_stride(int64_t size) { return (size + 15) / 16 * 16; }
  static constexpr int64_t value_codes(int64_t size) { return value_stride(size) * kPageSize; }
  // Q4_0 keeps whole blocks of values.
  static constexpr int64_t value_nibbles(int64_t size) { return (size + 31) / 32 * 16 * kPageSize; }
  // Bytes of a page of one head.
  static constexpr int64_t key_bytes(int format, int64_t size) {
    return format >= q8_0 ? key_codes(size) + scale_bytes(size) : size * kPageSize * (format == f32 ? 4 : 2);
  }
  static constexpr int64_t value_bytes(int format, int64_t size) {
    if (format == q4_0) return value_nibbles(size) + scale_bytes(size);
    return format == q8_0 ? value_codes(size) + scale_bytes(size) : size * kPageSize * (format == f32 ? 4 : 2);
  }
  static constexpr int64_t scale_bytes(int64_t size) { return (size + 31) / 32 * kPageSize * 2; }
  struct Layer {
    uint8_t *keys, *values;
    int heads, key_size, value_size;
    int64_t pages;
  };
  int format = f16;
  const Layer* layers = nullptr;
  int layer_count = 0;
};

struct alignas(64) Claim {
  std::atomic<int32_t> next{0};
};

struct Step {
  int kernel = 0;
  int array_count = 0, integer_count = 0, number_count = 0;
  const Array* arrays = nullptr;
  const int32_t* integers = nullptr;
  const float* numbers = nullptr;
  const Cache* cache = nullptr;
  // Zero at the start of each run: threads take chunks of work from it.
  std::atomic<int32_t>* next = nullptr;
  // For steps that read much memory: a counter for each thread's own part of the work, which others take from when theirs is done.
  Claim* claims = nullptr;
  // Set by a kernel that met an id out of range or the like; the value says which rule.
  std::atomic<int32_t>* fault = nullptr;
  // The number that broke the rule.
  std::atomic<int32_t>* detail = nullptr;
  // Memory of this thread alone.
  uint8_t* scratch = nullptr;
  size_t scratch_bytes = 0;
};

// Thread `thread` of `threads` does its share of a step.
using Kernel = void (*)(const Step& step, int thread, int threads);

// Faults of a step.
enum Fault : int32_t { kNoFault = 0, kIdOutOfRange = 1, kPageOutOfRange = 2, kNotFinite = 3, kScratchTooSmall = 4 };

}  // namespace frugal
