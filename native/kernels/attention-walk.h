// A block of queries of one sequence and key head goes through the pages. Pages are walked in order from absolute page borders, each query with
// its own running maximum and sum, so a row's result depends neither on its neighbours nor on how a prompt was cut.
#pragma once
#include "attention-softmax.h"

namespace frugal::FRUGAL_ISA {

// The most queries of a block: what is read and made ready of a page serves all of them. Half: F16 5 % slower on AVX-512; double: 2 % faster.
constexpr int kMostQueries = kMost == 8 ? 64 : 48;

// Scratch of a block: sums, queries as integers, and what a page needs to be ready.
template <class Format> struct Room {
  int64_t sum_bytes, query_bytes, page_bytes;
  Room(int key_size, int value_size)
      : sum_bytes(Cache::value_stride(value_size) * 4),
        query_bytes(Lane<typename Format::Number>::kNumbers == 2 ? int64_t(key_size + 31) / 32 * 64 : 0),
        page_bytes(Format::room_bytes(key_size, value_size)) {}
  // The queries that this much scratch has room for.
  int64_t queries(size_t bytes) const {
    const int64_t most = (int64_t(bytes) - page_bytes) / (sum_bytes + query_bytes);
    return most < kMostQueries ? most : kMostQueries;
  }
};

// A query as the first product takes it, and its unit.
static inline float make_ready(const float* q, int, uint8_t*, const float** ready) {
  *ready = q;
  return 1;
}
static inline float make_ready(const float* q, int size, uint8_t* room, const int16_t** ready) {
  const float unit = peak_of(q, size) / kLargest, inverse = inverse_of(unit);
  int16_t* to = reinterpret_cast<int16_t*>(room);
  each(q, size, 0, [&](F32 v, int64_t d, int) { store_s16(to + d, rounded(v * splat(inverse))); });
  *ready = to;
  return unit;
}

// Calls f.<N>(i) for tiles of the queries 0 to count.
template <class F> static inline void tiles(int count, F f) {
  int i = 0;
  for (; count - i >= kMost; i += kMost) f.template operator()<kMost>(i);
  for (; count - i >= 4; i += 4) f.template operator()<4>(i);
  for (; count - i >= 2; i += 2) f.template operator()<2>(i);
  for (; i < count; ++i) f.template operator()<1>(i);
}

// Query u of the sequence is row u / group, head key_head * group + u % group; `q`, `y` and `positions` begin at the sequence's first row.
template <class Format> static void attend(const Rule& rule, const Pages& pages, int key_head, const float* q, float* y,
                                           const int32_t* positions, int64_t length, int64_t first, int count, uint8_t* scratch) {
  using Number = typename Format::Number;
  const int group = rule.heads / rule.key_heads, size = pages.key_size, value_size = pages.value_size;
  const Room<Format> room(size, value_size);
  uint8_t *queries = scratch + count * room.sum_bytes, *page_room = queries + count * room.query_bytes;
  Query query[kMostQueries];
  const Number* ready[kMostQueries];
  Part<Number> part[kMostQueries];
  alignas(64) float score[kMostQueries][kPageSize];
  const auto place = [&](int i) { return (first + i) / group * rule.heads + key_head * group + (first + i) % group; };
  int64_t from = length, to = 0;
  for (int i = 0; i < count; ++i) {
    const int64_t row = (first + i) / group, at = positions ? positions[row] : row;
    const int64_t end = rule.causal && at + 1 < length ? at + 1 : length,
                  begin = rule.window > 0 && at >= rule.window ? at - rule.window + 1 : 0;
    const float unit = make_ready(q + place(i) * size, size, queries + i * room.query_bytes, &ready[i]);
    query[i] = {at, begin, end, rule.scale * unit, rule.slopes ? rule.slopes[place(i) % rule.heads] : 0, -__builtin_inff(), 0};
    part[i] = {reinterpret_cast<Number*>(score[i]), reinterpret_cast<float*>(scratch + i * room.sum_bytes), 1, 0};
    if (begin < from) from = begin;
    if (end > to) to = end;
  }
  memset(scratch, 0, size_t(count * room.sum_bytes));
  // Asking for the next page ahead makes 512 tokens 3 % slower: the processor follows by itself.
  for (int64_t page = from / kPageSize; page * kPageSize < to; ++page) {
    const int64_t base = page * kPageSize;
    const auto span = [&](int i, int n) {
      Span seen{kPageSize, 0};
      for (const int last = i + n; i < last; ++i) {
        const int64_t low = query[i].begin - base, high = query[i].end - base;
        if (low < seen.first) seen.first = low < 0 ? 0 : int(low);
        if (high > seen.last) seen.last = high > kPageSize ? kPageSize : int(high);
      }
      return seen;
    };
    const auto keys = Format::keys(pages.key(page, key_head), size, page_room);
    tiles(count, [&]<int N>(int i) { score_tile<N>(ready + i, keys, size, span(i, N), score + i); });
    const auto values = Format::values(pages.value(page, key_head), value_size, page_room);
    for (int i = 0; i < count; ++i) weigh(rule, query[i], score[i], values.scales, base, reinterpret_cast<Number*>(score[i]), part[i]);
    tiles(count, [&]<int N>(int i) { sum_tile<N>(part + i, values.numbers, values.stride, span(i, N)); });
  }
  for (int i = 0; i < count; ++i) {
    const float inverse = query[i].total > 0 ? 1.0f / query[i].total : 0.0f;
    each(part[i].sums, value_size, 0, [&](F32 v, int64_t d, int n) { store_first(y + place(i) * value_size + d, n, v * splat(inverse)); });
  }
}

}  // namespace frugal::FRUGAL_ISA
