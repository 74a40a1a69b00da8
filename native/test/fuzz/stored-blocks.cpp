// Stored rows of any bytes are packed, read back and multiplied: numbers may be anything, memory must not.
#include <stdlib.h>

#include <memory>

#include "../../runtime/model.h"
#include "bytes.h"

namespace frugal::test {

void fuzz_stored_blocks(Bytes bytes) {
  const char* names[8];
  const KernelSet& set = *choose_kernels(names[bytes.below(available_kernels(names, 8))]);
  static constexpr int types[] = {0, 1, 30, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 20, 23, 34, 35, 39};
  const int type = types[bytes.below(18)];
  const int64_t inputs = type == 0 || type == 1 || type == 30    ? 1 + bytes.below(40)
                         : type < 10 || type == 20 || type == 39 ? 32 * (1 + bytes.below(3))
                                                                 : 256;
  const int64_t rows = 1 + bytes.below(20), inputs32 = (inputs + 31) / 32 * 32;
  const size_t row_bytes = stored_row_bytes(type, inputs), length = row_bytes * size_t(rows);
  // Exactly as long as the rows, at an odd place.
  const std::unique_ptr<uint8_t[]> stored(new uint8_t[length + 1]);
  // Half of the time no exponent is all ones, so that no scale is refused.
  const uint8_t mask = bytes.below(2) ? 0xff : 0xbb;
  for (size_t i = 0; i < length; ++i) stored[i + 1] = bytes.byte() & mask;

  Model model(set, 1);
  std::atomic<int64_t> done{0};
  if (model.add_matrix(type, rows, inputs, 1) != 0) abort();
  const std::string problem = model.fill({}, {{0, -1, stored.get() + 1, 0, rows}}, done, nullptr);
  if (problem.rfind("not finite", 0) == 0) return;
  if (!problem.empty()) abort();
  const int32_t i32 = int32_t(inputs), r32 = int32_t(rows), m32 = 1 + bytes.below(4);
  const int32_t words[] = {
      kKernel_gather,
      3,
      1,
      0,
      kMatrix,
      0,
      0,
      0,
      kInput,
      0,
      0,
      1,
      r32,
      0,
      0,
      0,
      0,
      kOutput,
      0,
      0,
      2,
      r32,
      0,
      0,
      0,
      0,
      i32,
      0,
      0,
      0,
      0,
      r32,
      kKernel_linear,
      7,
      1,
      0,
      kInput,
      1,
      0,
      2,
      m32,
      0,
      0,
      0,
      0,
      i32,
      0,
      0,
      0,
      0,
      kArena,
      0,
      0,
      1,
      m32 * int32_t(inputs32) / 32 * 15,
      0,
      0,
      0,
      0,
      kMatrix,
      0,
      0,
      0,
      kNothing,
      0,
      0,
      0,
      kOutput,
      1,
      0,
      2,
      m32,
      0,
      0,
      0,
      0,
      r32,
      0,
      0,
      0,
      0,
      kNothing,
      0,
      0,
      0,
      kNothing,
      0,
      0,
      0,
      -1,
  };
  // Coded matrices take codes, so their program begins with them.
  std::vector<int32_t> program;
  if (inputs % 32 == 0)
    program = {kKernel_quantize,    2, 0, 0, kInput, 1, 0, 2, m32, 0, 0, 0, 0, i32, 0, 0, 0, 0, kArena, 0, 0, 1,
               m32 * i32 / 32 * 15, 0, 0, 0, 0};
  program.insert(program.end(), words, words + sizeof words / 4);
  if (model.add_program(program.data(), program.size()) != 0 || !model.allocate(size_t(m32 * inputs32 * 2), 64, Cache::f16, {})) abort();
  std::vector<int32_t> ids, x;
  for (int32_t r = 0; r < r32; ++r) ids.push_back(r);
  for (int64_t i = 0; i < m32 * inputs; ++i) x.push_back(bytes.word());
  std::vector<float> gathered(size_t(rows * inputs)), y(size_t(m32 * rows));
  const int32_t symbols[4] = {0, 0, 0, 0};
  if (model
          .run(0, symbols, {{ids.data(), rows}, {x.data(), m32 * inputs}}, {{gathered.data(), rows * inputs}, {y.data(), m32 * rows}},
               nullptr)
          .kind != Outcome::done)
    abort();
}

}  // namespace frugal::test
