// Stored blocks of every format: random ones, and what they mean, element by element from the formats' definitions, in double.
#pragma once
#include <stdint.h>

#include <vector>

#include "random.h"

namespace frugal::test {

// value = scaled - minimum; both parts, because rounding errors grow with them and not with their difference.
struct Element {
  double scaled, minimum;
  double value() const { return scaled - minimum; }
  double magnitude() const { return (scaled < 0 ? -scaled : scaled) + (minimum < 0 ? -minimum : minimum); }
};

struct Format {
  const char* name;
  int type, block, bytes;                       // ggml's number, inputs of a block, bytes of a block
  Element (*element)(const uint8_t* p, int i);  // element i of the block at p
  std::vector<int> halves;                      // offsets of F16 fields
  bool coded() const { return block > 1; }
  int least() const { return coded() ? block : 32; }  // the fewest inputs a test gives a matrix
  int64_t row_bytes(int64_t inputs) const { return inputs / block * bytes; }
};

const std::vector<Format>& formats();

// Rows of random codes with finite scales, some of them 0 or tiny.
std::vector<uint8_t> random_rows(const Format& format, int64_t rows, int64_t inputs, Random& random);
// All elements of rows that lie one after the other.
std::vector<Element> decode(const Format& format, const uint8_t* rows, int64_t elements);

double half_to_double(uint16_t half);

}  // namespace frugal::test
