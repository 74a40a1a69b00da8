// The fuzzer's bytes, read as numbers; zeroes when there are no more.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <vector>

namespace frugal::test {

struct Bytes {
  const uint8_t* at;
  size_t left;
  uint8_t byte() { return left > 0 ? --left, *at++ : 0; }
  int below(int n) { return byte() % n; }
  int32_t word() {
    int32_t word = 0;
    for (int i = 0; i < 4; ++i) word = int32_t(uint32_t(word) << 8 | byte());
    return word;
  }
  std::vector<int32_t> words() {
    std::vector<int32_t> all(left / 4);
    if (!all.empty()) memcpy(all.data(), at, all.size() * 4);
    return all;
  }
};

void fuzz_stored_blocks(Bytes bytes);
void fuzz_programs(Bytes bytes);

}  // namespace frugal::test
