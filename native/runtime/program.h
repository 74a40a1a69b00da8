// A program: steps as words, written by src/backends/core/words.ts. Parsed once; sizes are filled in at each run.
//   step:  kernel, arrays, integers, numbers, then the arrays, the integers, the numbers' bits
//   array: space, index, offset (in 4 bytes), rank, then for each dim: constant, T, S, C, R
#pragma once
#include <stdint.h>

#include <vector>

#include "step.h"

namespace frugal {

enum Space : int32_t { kNothing = 0, kArena = 1, kMatrix = 2, kVector = 3, kInput = 4, kOutput = 5 };

struct Operand {
  Space space;
  int32_t index, offset, rank;
  int32_t dim[kMaxRank][5];
};

struct ProgramStep {
  int kernel;
  std::vector<Operand> operands;
  std::vector<int32_t> integers;
  std::vector<float> numbers;
};

using Program = std::vector<ProgramStep>;

// False where the words do not parse or name an unknown kernel.
bool parse_program(const int32_t* words, size_t count, int kernels, Program& program);

}  // namespace frugal
