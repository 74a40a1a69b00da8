// The two products of attention for N queries and a page: scores = q k, and sums += weights v. Each score is one sum over the channels, each
// number of a page's part of the sums one over the tokens, in order: the same bits whatever N. Queries and weights are floats and the page
// floats or halves, or they are 16-bit integers, of which a lane takes pairs, and so is the page, or bytes.
#pragma once
#include "attention-pages.h"

namespace frugal::FRUGAL_ISA {

// Queries whose sums over two vectors stay in registers. With AVX-512, 12 are 2 % slower than 8; loops unrolled twice gain nothing on either.
constexpr int kMost = kRegisters == 32 ? 8 : kLanes == 8 ? 6 : 4;

static inline F32 load_numbers(const float* p) { return load(p); }
static inline F32 load_numbers(const uint16_t* p) { return load_half(p); }
static inline I16 load_numbers(const int16_t* p) { return load_words(p); }
static inline I16 load_numbers(const int8_t* p) { return widen(p); }
template <class T> static inline F32 load_first_numbers(const T* p, int n) {
  T some[kLanes] = {};
  memcpy(some, p, size_t(n) * sizeof(T));
  return load_numbers(some);
}
static inline F32 splat_numbers(const float* p) { return splat(*p); }
static inline I16 splat_numbers(const int16_t* p) { return splat_pair(p); }
static inline F32 add_product(F32 a, F32 b, F32 to) { return fma(a, b, to); }
static inline I32 add_product(I16 a, I16 b, I32 to) { return dot2(a, b, to); }
static inline F32 to_float(F32 v) { return v; }
template <class Number> struct Lane {
  using Sum = F32;
  static constexpr int kNumbers = 1;
};
template <> struct Lane<int16_t> {
  using Sum = I32;
  static constexpr int kNumbers = 2;
};

// Tokens of a page that some query of a tile sees; the others' scores are not computed, and their weights are 0.
struct Span {
  int first, last;
};

// score[i][t] = q[i] k[t], of integers in the units of the queries, one block of channels after the other.
template <int N, class Number, class Stored>
static inline void score_tile(const Number* const* q, const Keys<Stored>& keys, int size, Span span, float (*score)[kPageSize]) {
  constexpr int per = Lane<Number>::kNumbers, step = 2 * kLanes;
  for (int t = span.first / step * step; t < span.last; t += step) {
    const Stored* k = keys.numbers + per * t;
    for (int d = 0, first = 0; d < size; first = d) {
      const int last = per == 2 && first + 32 < size ? first + 32 : size;
      typename Lane<Number>::Sum acc[N][2] = {};
      for (; d < last; d += per, k += per * kPageSize) {
        const auto k0 = load_numbers(k), k1 = load_numbers(k + per * kLanes);
#pragma GCC unroll 8
        for (int i = 0; i < N; ++i) {
          const auto v = splat_numbers(q[i] + d);
          acc[i][0] = add_product(v, k0, acc[i][0]);
          acc[i][1] = add_product(v, k1, acc[i][1]);
        }
      }
      for (int h = 0; h < 2; ++h) {
        const F32 scale = per == 2 ? load_half(keys.scales + first + t + h * kLanes) : splat(1);
        for (int i = 0; i < N; ++i) {
          float* s = score[i] + t + h * kLanes;
          if constexpr (per == 2) store(s, fma(to_float(acc[i][h]), scale, first == 0 ? splat(0) : load(s)));
          else store(s, acc[i][h]);
        }
      }
    }
  }
}

// A query's part in the second product: its sums and what they are multiplied with first, and the page's weights in units of `unit`.
template <class Number> struct Part {
  const Number* weights;
  float* sums;
  float correction, unit;
};

// H vectors of N sums from column d on.
template <int N, int H, class Number, class Stored>
static inline void sum_columns(const Part<Number>* parts, const Stored* values, int stride, Span span, int d) {
  constexpr int per = Lane<Number>::kNumbers;
  typename Lane<Number>::Sum acc[N][H] = {};
  const int first = span.first / per * per;
  const Stored* v = values + first * stride + per * d;
  for (int t = first; t < span.last; t += per, v += per * stride) {
    decltype(load_numbers(v)) x[H];
    for (int h = 0; h < H; ++h) x[h] = load_numbers(v + per * h * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) {
      const auto p = splat_numbers(parts[i].weights + t);
      for (int h = 0; h < H; ++h) acc[i][h] = add_product(p, x[h], acc[i][h]);
    }
  }
  // Corrections apart, where they are not 1, are 4 % slower: one more pass over the sums.
  for (int i = 0; i < N; ++i) {
    const Part<Number> part = parts[i];  // a copy, which stores to the sums can't change
    const F32 unit = splat(part.unit), correction = splat(part.correction);
    for (int h = 0; h < H; ++h) {
      float* s = part.sums + d + h * kLanes;
      store(s, fma(to_float(acc[i][h]), unit, load(s) * correction));
    }
  }
}

// `values`: `stride` numbers a token; sums have room for whole vectors.
template <int N, class Number, class Stored>
static inline void sum_tile(const Part<Number>* parts, const Stored* values, int stride, Span span) {
  int d = 0;
  for (; d + 2 * kLanes <= stride; d += 2 * kLanes) sum_columns<N, 2>(parts, values, stride, span, d);
  for (; d + kLanes <= stride; d += kLanes) sum_columns<N, 1>(parts, values, stride, span, d);
  if constexpr (Lane<Number>::kNumbers == 1)  // integers fill whole vectors
    for (int i = 0; d < stride && i < N; ++i) {
      F32 acc = splat(0);
      for (int t = span.first; t < span.last; ++t)
        acc = fma(splat(parts[i].weights[t]), load_first_numbers(values + t * stride + d, stride - d), acc);
      store(parts[i].sums + d, fma(acc, splat(parts[i].unit), load(parts[i].sums + d) * splat(parts[i].correction)));
    }
}

}  // namespace frugal::FRUGAL_ISA
