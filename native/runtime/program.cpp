#include "program.h"

#include <string.h>

namespace frugal {

bool parse_program(const int32_t* words, size_t count, int kernels, Program& program) {
  size_t at = 0;
  const auto has = [&](size_t n) { return count - at >= n; };
  while (at < count) {
    if (!has(4)) return false;
    const int32_t kernel = words[at], arrays = words[at + 1], integers = words[at + 2], numbers = words[at + 3];
    at += 4;
    if (kernel < 0 || kernel >= kernels || arrays < 0 || integers < 0 || numbers < 0) return false;
    ProgramStep step{kernel, {}, {}, {}};
    for (int32_t a = 0; a < arrays; ++a) {
      if (!has(4)) return false;
      Operand operand{Space(words[at]), words[at + 1], words[at + 2], words[at + 3], {}};
      at += 4;
      if (operand.space < kNothing || operand.space > kOutput || operand.index < 0 || operand.offset < 0 || operand.rank < 0 ||
          operand.rank > kMaxRank)
        return false;
      if (!has(size_t(operand.rank) * 5)) return false;
      for (int d = 0; d < operand.rank; ++d, at += 5) memcpy(operand.dim[d], words + at, 20);
      step.operands.push_back(operand);
    }
    if (!has(size_t(integers) + size_t(numbers))) return false;
    step.integers.assign(words + at, words + at + integers);
    at += size_t(integers);
    step.numbers.resize(size_t(numbers));
    if (numbers > 0) memcpy(step.numbers.data(), words + at, size_t(numbers) * 4);
    at += size_t(numbers);
    program.push_back(std::move(step));
  }
  return true;
}

}  // namespace frugal
