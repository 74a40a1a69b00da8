// 8-bit codes in blocks of 256 numbers, and back (Dettmers et al. 2022, arXiv 2110.02861). Ops: src/ops/block-codes.ts says how a block is
// kept. A number's code is found by its leading bits, of which no two levels share more than one border; the reference halves an interval
// eight times.
#include "kernel.h"

namespace frugal::FRUGAL_ISA {

constexpr int64_t kBlock = 256, kStored = 66;
// Magnitudes from 2^-23, below which all is 0, in 128 bins a power of two; the last one is for 1 and more.
constexpr int kLowest = (127 - 23) << 7, kBins = 23 * 128 + 1;

struct Levels {
  float level[256], middle[256];  // the last middle is above all numbers
  uint8_t below[2 * kBins];       // how many middles lie below all numbers of a bin: bins of positive numbers, then of negative ones
  bool one_border;                // whether no bin has two
};

static constexpr float bin_edge(int bin) { return __builtin_bit_cast(float, (kLowest + bin) << 16); }
static constexpr Levels make_levels(bool has_sign) {
  Levels all{};
  int positives = 0;
  double rising[256] = {};
  constexpr double powers[] = {1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1};
  for (int exponent = 0; exponent < 7; ++exponent) {
    const int steps = 1 << (has_sign ? exponent : exponent + 1);
    for (int i = 0; i < steps; ++i) rising[positives++] = powers[exponent] * (0.1 + 0.9 * (i + 0.5) / steps);
  }
  const int zero = has_sign ? positives : 0;
  for (int i = 0; i < positives; ++i) {
    all.level[zero + 1 + i] = float(rising[i]);
    if (has_sign) all.level[zero - 1 - i] = -float(rising[i]);
  }
  all.level[255] = 1;
  for (int i = 0; i < 255; ++i) all.middle[i] = float((double(all.level[i]) + double(all.level[i + 1])) / 2);
  all.middle[255] = __builtin_inff();
  all.one_border = true;
  int count = 0;
  while (all.middle[count] < 0) ++count;
  int negative = count;
  for (int bin = 0; bin < kBins; ++bin) {
    const float least = bin == 0 ? 0 : bin_edge(bin), end = bin == kBins - 1 ? __builtin_inff() : bin_edge(bin + 1);
    while (all.middle[count] < least) ++count;
    all.below[bin] = uint8_t(count);
    if (count < 255 && all.middle[count + 1] < end) all.one_border = false;
    const int before = negative;
    while (negative > 0 && all.middle[negative - 1] > -end) --negative;
    all.below[kBins + bin] = uint8_t(negative);
    if (before - negative > 1) all.one_border = false;
  }
  return all;
}
alignas(64) static constexpr Levels kLevels[2] = {make_levels(false), make_levels(true)};
static_assert(kLevels[0].one_border && kLevels[1].one_border);

typedef uint32_t U32 __attribute__((vector_size(4 * kLanes)));

// The codes of n numbers times `inverse`.
static inline void encode(const Levels& levels, const float* x, int64_t n, float inverse, uint8_t* codes) {
  alignas(64) float scaled[kBlock];
  alignas(64) int32_t bins[kBlock];
  each(x, n, 0, [&](F32 v, int64_t i, int) {
    const F32 product = v * splat(inverse), known = product == product ? product : splat(-__builtin_inff());
    I32 bin = ((bits_of(known) & 0x7fffffff) >> 16) - kLowest;
    bin = bin < 0 ? I32{} : bin;
    bin = bin > kBins - 1 ? splat_i(kBins - 1) : bin;
    bin = known < splat(0) ? bin + kBins : bin;
    store(scaled + i, known);
    memcpy(bins + i, &bin, sizeof bin);
  });
  for (int64_t i = 0; i < n; ++i) {
    const uint8_t code = levels.below[bins[i]];
    codes[i] = uint8_t(code + (scaled[i] > levels.middle[code]));
  }
}

// The least key that makes no fourth code 0 or 255 when combined with it.
static inline int key_of(const uint8_t* codes) {
  bool taken[256] = {};
  for (int i = 3; i < kBlock; i += 4) taken[codes[i]] = taken[codes[i] ^ 255] = true;
  int key = 0;
  while (taken[key]) ++key;
  return key;
}

}  // namespace frugal::FRUGAL_ISA

// arrays: x, y [blocks, 66]; integers: whether numbers have a sign.
KERNEL(block_quantize) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &y = step.arrays[1];
  const Levels& levels = kLevels[step.integers[0] != 0];
  const int64_t size = x.size();
  share(step, (size + kBlock - 1) / kBlock, 16, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block) {
      const float* from = x.f() + block * kBlock;
      float* to = y.f() + block * kStored;
      const int64_t n = size - block * kBlock < kBlock ? size - block * kBlock : kBlock;
      F32 peaks = splat(0), unknown = splat(0);
      each(from, n, 0, [&](F32 v, int64_t, int) {
        peaks = max(max(v, -v), peaks);
        unknown = v == v ? unknown : splat(1);
      });
      const float peak = max(unknown) > 0 ? __builtin_nanf("") : max(peaks);
      alignas(64) uint8_t codes[kBlock] = {};
      encode(levels, from, n, peak == 0 ? 0 : 1 / peak, codes);
      const int key = key_of(codes);
      to[0] = peak;
      to[1] = float(key);
      for (int64_t i = 0; i < kBlock; i += 4 * kLanes) {
        U32 words;
        memcpy(&words, codes + i, sizeof words);
        words ^= uint32_t(key) << 24;
        words = words >> 1 | words << 31;
        memcpy(to + 2 + i / 4, &words, sizeof words);
      }
    }
  });
}

// arrays: codes [blocks, 66], y; integers: whether numbers have a sign.
KERNEL(block_dequantize) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &x = step.arrays[0], &y = step.arrays[1];
  const float* levels = kLevels[step.integers[0] != 0].level;
  const int64_t size = y.size();
  share(step, (size + kBlock - 1) / kBlock, 16, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block) {
      const float* from = x.f() + block * kStored;
      float* to = y.f() + block * kBlock;
      const int64_t n = size - block * kBlock < kBlock ? size - block * kBlock : kBlock;
      const uint32_t key = from[1] >= 0 && from[1] < 256 ? uint32_t(from[1]) : 0;
      alignas(64) uint8_t codes[kBlock];
      for (int64_t i = 0; i < kBlock; i += 4 * kLanes) {
        U32 words;
        memcpy(&words, from + 2 + i / 4, sizeof words);
        words = (words << 1 | words >> 31) ^ key << 24;
        memcpy(codes + i, &words, sizeof words);
      }
      for (int64_t i = 0; i < n; ++i) to[i] = from[0] * levels[codes[i]];
    }
  });
}
