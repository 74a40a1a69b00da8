// Numbers for tests: the same on every machine, from a seed (splitmix64).
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <vector>

namespace frugal::test {

struct Random {
  uint64_t state;
  explicit Random(int64_t seed) : state(uint64_t(seed) * 0x9e3779b97f4a7c15ull + 1) {}
  uint64_t bits() {
    uint64_t z = state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
  }
  int below(int n) { return int(bits() % uint64_t(n)); }
  float uniform(float low, float high) { return low + (high - low) * float(bits() >> 40) * 0x1p-24f; }
  // About normal: the sum of four.
  float normal() { return uniform(-1, 1) + uniform(-1, 1) + uniform(-1, 1) + uniform(-1, 1); }
  std::vector<float> normals(int64_t n, float scale = 1) {
    std::vector<float> x;
    x.reserve(size_t(n));
    for (int64_t i = 0; i < n; ++i) x.push_back(normal() * scale);
    return x;
  }
  // The numbers 0 to n - 1 in a random order.
  std::vector<int32_t> order(int n) {
    std::vector<int32_t> x;
    for (int i = 0; i < n; ++i) x.insert(x.begin() + below(i + 1), i);
    return x;
  }
};

}  // namespace frugal::test
