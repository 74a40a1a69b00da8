// The softmax of attention over one page: scores of a query become weights, as the query's running maximum and sum go on.
#pragma once
#include "attention-blocks.h"
#include "attention-tile.h"

namespace frugal::FRUGAL_ISA {

struct Rule {
  int heads, key_heads, window;
  bool causal;
  float scale, softcap;
  const float* slopes;  // of each head, or null
};

// A query on its way through the pages.
struct Query {
  int64_t position, begin, end;  // sees the tokens from begin to end
  float factor, slope;           // of scores
  float peak, total;             // of the softmax so far
};

// exp for x <= 0; NaN stays NaN. A third less work than the one for all x.
static inline F32 exp_below(F32 x) {
  const F32 lowest = splat(-87.0f), c = lowest > x ? lowest : x;
  const F32 k = round(c * 1.44269504f);
  const F32 r = fma(k, splat(2.12194440e-4f), fma(k, splat(-0.693359375f), c));
  F32 p = splat(1.9875691500e-4f);
  p = fma(p, r, splat(1.3981999507e-3f));
  p = fma(p, r, splat(8.3334519073e-3f));
  p = fma(p, r, splat(4.1665795894e-2f));
  p = fma(p, r, splat(1.6666665459e-1f));
  p = fma(p, r, splat(5.0000001201e-1f));
  p = fma(p * r, r, r + splat(1.0f));
  const F32 y = p * from_bits((to_integer(k) + 127) << 23);
  return x < lowest ? splat(0.0f) : y;
}

constexpr int kPageVectors = kPageSize / kLanes;
alignas(64) static const int32_t kTokens[kPageSize] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                                       16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

// Stores weights as the second product takes them, and returns their unit.
static inline float keep_weights(const F32* e, const float*, float* weights) {
  for (int j = 0; j < kPageVectors; ++j) store(weights + j * kLanes, e[j]);
  return 1;
}
// In units of their sum: times values up to kLargest their products stay below 2^30.
static inline float keep_weights(const F32* e, const float* scales, int16_t* weights) {
  F32 w[kPageVectors], sums = splat(0);
  for (int j = 0; j < kPageVectors; ++j) {
    w[j] = e[j] == splat(0) ? splat(0) : e[j] * load(scales + j * kLanes);  // the scale of an unseen token may be anything
    sums += w[j];
  }
  const float unit = sum(sums) / kLargest, inverse = inverse_of(unit);
  for (int j = 0; j < kPageVectors; ++j) store_s16(weights + j * kLanes, rounded(w[j] * splat(inverse)));
  return unit;
}

// The page begins at token `base`; `scales` are those of its values. Weights may lie where the scores did.
template <class Number> static inline void weigh(const Rule& rule, Query& query, const float* score, const float* scales, int64_t base,
                                                 Number* weights, Part<Number>& part) {
  part.correction = 1;
  part.unit = 0;
  F32 s[kPageVectors];
  for (int j = 0; j < kPageVectors; ++j) s[j] = load(score + j * kLanes) * splat(query.factor);
  if (rule.softcap > 0)
    for (int j = 0; j < kPageVectors; ++j) s[j] = splat(rule.softcap) * tanh(s[j] / splat(rule.softcap));
  if (rule.slopes)
    for (int j = 0; j < kPageVectors; ++j)
      s[j] = s[j] + splat(query.slope) * (splat(float(base - query.position)) + to_float(load_i(kTokens + j * kLanes)));
  if (query.begin > base || query.end < base + kPageSize) {
    const auto within = [&](int64_t token) {
      return splat_i(int32_t(token < base ? 0 : token > base + kPageSize ? kPageSize : token - base));
    };
    const I32 first = within(query.begin), last = within(query.end);
    for (int j = 0; j < kPageVectors; ++j) {
      const I32 t = load_i(kTokens + j * kLanes);
      s[j] = ((t < first) | (t >= last)) != 0 ? splat(-__builtin_inff()) : s[j];
    }
  }
  F32 peaks = s[0];
  for (int j = 1; j < kPageVectors; ++j) peaks = max(s[j], peaks);
  const float here = max(peaks);
  // Nothing of this page is seen: the sums stay as they are. Not told by the peak, which NaN may leave where it was.
  if (query.begin >= query.end || query.begin >= base + kPageSize || query.end <= base) {
    memset(weights, 0, kPageSize * sizeof(Number));
    return;
  }
  if (here > query.peak) {
    part.correction = exp_below(splat(query.peak - here))[0];
    query.peak = here;
  }
  F32 e[kPageVectors], sums = splat(0);
  for (int j = 0; j < kPageVectors; ++j) {
    e[j] = exp_below(s[j] - splat(query.peak));
    sums += e[j];
  }
  query.total = query.total * part.correction + sum(sums);
  part.unit = keep_weights(e, scales, weights);
}

}  // namespace frugal::FRUGAL_ISA
