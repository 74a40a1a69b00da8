// Attention over pages of 32 tokens: keys [size][32], values [32][size]. Pages are walked in order from absolute page borders, each row with
// its own running maximum and sum, so a row's result depends neither on its neighbours nor on how a prompt was cut.
#include "kernel.h"

namespace frugal::FRUGAL_ISA {

template <class T> static inline F32 load_element(const T* p);
template <> inline F32 load_element<float>(const float* p) { return load(p); }
template <> inline F32 load_element<uint16_t>(const uint16_t* p) { return load_half(p); }
template <class T> static inline void store_elements(T* to, int64_t stride, const float* x, int64_t n);
template <> inline void store_elements<float>(float* to, int64_t stride, const float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i * stride] = x[i];
}
template <> inline void store_elements<uint16_t>(uint16_t* to, int64_t stride, const float* x, int64_t n) {
  each(x, n, 0, [&](F32 v, int64_t i, int count) {
    uint16_t half[kLanes];
    store_half(half, v);
    for (int j = 0; j < count; ++j) to[(i + j) * stride] = half[j];
  });
}

// Where a sequence's pages are.
template <class T> struct Pages {
  T *keys, *values;
  int heads, key_size, value_size;
  const int32_t* table;  // null: pages follow each other from `first`
  int64_t first;
  int64_t page(int64_t index) const { return table ? table[index] : first + index; }
  T* key(int64_t index, int head) const { return keys + (page(index) * heads + head) * key_size * kPageSize; }
  T* value(int64_t index, int head) const { return values + (page(index) * heads + head) * value_size * kPageSize; }
};

struct Rule {
  int heads, key_heads, window;
  bool causal;
  float scale, softcap;
  const float* slopes;  // of each head, or null
};

// N queries of one key head: query u of the sequence is row u / group, head key_head * group + u % group.
template <class T, int N>
static void attend(const Rule& rule, const Pages<T>& pages, int key_head, const float* q, float* y, const int32_t* positions, int64_t first_position, int64_t length,
                   int64_t u0, float* scratch) {
  const int group = rule.heads / rule.key_heads, size = pages.key_size, value_size = pages.value_size;
  const float* query[N];
  float* out[N];
  float* sum_of[N];
  float peak[N], total[N], slope[N];
  int64_t begin[N], end[N], position[N], from = length, to = 0;
  for (int i = 0; i < N; ++i) {
    const int64_t row = (u0 + i) / group;
    const int head = key_head * group + int((u0 + i) % group);
    query[i] = q + (row * rule.heads + head) * size;
    out[i] = y + (row * rule.heads + head) * value_size;
    sum_of[i] = scratch + i * value_size;
    position[i] = positions ? positions[row] : first_position + row;
    end[i] = rule.causal && position[i] + 1 < length ? position[i] + 1 : length;
    begin[i] = rule.window > 0 && position[i] >= rule.window ? position[i] - rule.window + 1 : 0;
    slope[i] = rule.slopes ? rule.slopes[head] : 0;
    if (begin[i] < from) from = begin[i];
    if (end[i] > to) to = end[i];
    peak[i] = -__builtin_inff();
    total[i] = 0;
    memset(sum_of[i], 0, size_t(value_size) * 4);
  }
  constexpr int wide = 2 * kLanes;
  for (int64_t page = from / kPageSize; page * kPageSize < to; ++page) {
    float score[N][kPageSize];
    const T* keys = pages.key(page, key_head);
    for (int t = 0; t < kPageSize; t += wide) {
      F32 acc[N][2];
      for (int i = 0; i < N; ++i) acc[i][0] = acc[i][1] = splat(0);
      const T* k = keys + t;
      for (int d = 0; d < size; ++d, k += kPageSize) {
        const F32 k0 = load_element(k), k1 = load_element(k + kLanes);
#pragma GCC unroll 8
        for (int i = 0; i < N; ++i) {
          const F32 v = splat(query[i][d]);
          acc[i][0] = fma(v, k0, acc[i][0]);
          acc[i][1] = fma(v, k1, acc[i][1]);
        }
      }
      for (int i = 0; i < N; ++i) {
        store(score[i] + t, acc[i][0] * splat(rule.scale));
        store(score[i] + t + kLanes, acc[i][1] * splat(rule.scale));
      }
    }
    float correction[N];
    for (int i = 0; i < N; ++i) {
      float* s = score[i];
      const int64_t low = begin[i] - page * kPageSize, high = end[i] - page * kPageSize;
      if (rule.softcap > 0)
        for (int t = 0; t < kPageSize; t += kLanes) store(s + t, splat(rule.softcap) * tanh(load(s + t) / splat(rule.softcap)));
      if (rule.slopes)
        for (int t = 0; t < kPageSize; ++t) s[t] += slope[i] * float(page * kPageSize + t - position[i]);
      for (int t = 0; t < kPageSize; ++t)
        if (t < low || t >= high) s[t] = -__builtin_inff();
      F32 peaks = load(s);
      for (int t = kLanes; t < kPageSize; t += kLanes) peaks = max(load(s + t), peaks);
      const float here = max(peaks);
      if (here == -__builtin_inff()) {  // nothing of this page is seen: the row stays as it is
        memset(s, 0, sizeof score[i]);
        correction[i] = 1;
        continue;
      }
      const float highest = here > peak[i] ? here : peak[i];
      F32 sums = splat(0);
      for (int t = 0; t < kPageSize; t += kLanes) {
        const F32 e = exp(load(s + t) - splat(highest));
        store(s + t, e);
        sums += e;
      }
      correction[i] = exp(splat(peak[i] - highest))[0];
      total[i] = total[i] * correction[i] + sum(sums);
      peak[i] = highest;
    }
    const T* values = pages.value(page, key_head);
    const int tokens = int(to - page * kPageSize < kPageSize ? to - page * kPageSize : kPageSize);
    int d = 0;
    for (; d + wide <= value_size; d += wide) {
      F32 acc[N][2];
      for (int i = 0; i < N; ++i)
        for (int h = 0; h < 2; ++h) acc[i][h] = load(sum_of[i] + d + h * kLanes) * splat(correction[i]);
      const T* v = values + d;
      for (int t = 0; t < tokens; ++t, v += value_size) {
        const F32 v0 = load_element(v), v1 = load_element(v + kLanes);
#pragma GCC unroll 8
        for (int i = 0; i < N; ++i) {
          const F32 p = splat(score[i][t]);
          acc[i][0] = fma(p, v0, acc[i][0]);
          acc[i][1] = fma(p, v1, acc[i][1]);
        }
      }
      for (int i = 0; i < N; ++i)
        for (int h = 0; h < 2; ++h) store(sum_of[i] + d + h * kLanes, acc[i][h]);
    }
    for (; d < value_size; d += kLanes) {  // sizes that are not whole vectors
      const int count = value_size - d < kLanes ? value_size - d : kLanes;
      for (int i = 0; i < N; ++i) {
        F32 acc = load_first(sum_of[i] + d, count, 0) * splat(correction[i]);
        for (int t = 0; t < tokens; ++t) {
          float v[kLanes] = {0};
          T narrow[kLanes] = {0};
          memcpy(narrow, values + t * value_size + d, size_t(count) * sizeof(T));
          store(v, load_element(narrow));
          acc = fma(splat(score[i][t]), load(v), acc);
        }
        store_first(sum_of[i] + d, count, acc);
      }
    }
  }
  for (int i = 0; i < N; ++i) {
    const float inverse = total[i] > 0 ? 1.0f / total[i] : 0.0f;
    each(sum_of[i], value_size, 0, [&](F32 v, int64_t d, int count) { store_first(out[i] + d, count, v * splat(inverse)); });
  }
}

// One row's keys and values into its page.
template <class T> static void write_row(const Pages<T>& pages, int64_t position, const float* k, const float* v) {
  const int64_t index = position / kPageSize, slot = position % kPageSize;
  for (int head = 0; head < pages.heads; ++head) {
    store_elements(pages.key(index, head) + slot, kPageSize, k + head * pages.key_size, pages.key_size);
    store_elements(pages.value(index, head) + slot * pages.value_size, 1, v + head * pages.value_size, pages.value_size);
  }
}

// Rows of all sequences; `pages_of(s)` and `length_of(s)` say where and how long sequence s is.
template <class T, class PagesOf, class LengthOf>
static void attend_all(const Step& step, int threads, const Rule& rule, const Array& q, const Array& y, const Array& offsets, const int32_t* positions, PagesOf pages_of,
                       LengthOf length_of) {
  const int64_t sequences = offsets.size() - 1;
  const int group = rule.heads / rule.key_heads;
  constexpr int kMost = kLanes == 16 ? 8 : 4;  // 2 N sums and 2 keys in registers
  // With few queries, smaller blocks keep all threads busy; the results are the same.
  const int64_t queries = q.rows() * group * rule.key_heads;
  const int block = queries >= 2 * kMost * threads ? kMost : queries >= 2 * threads ? 2 : 1;
  int64_t items = 0;
  for (int64_t s = 0; s < sequences; ++s) items += ((offsets.i()[s + 1] - offsets.i()[s]) * group + block - 1) / block * rule.key_heads;
  if (step.scratch_bytes < size_t(y.last() / rule.heads) * kMost * 4) return raise(step, kScratchTooSmall);
  float* scratch = reinterpret_cast<float*>(step.scratch);
  share(step, items, 1, [&](int64_t first, int64_t) {
    int64_t item = first, s = 0;
    for (;; ++s) {
      const int64_t here = ((offsets.i()[s + 1] - offsets.i()[s]) * group + block - 1) / block * rule.key_heads;
      if (item < here) break;
      item -= here;
    }
    const int64_t row0 = offsets.i()[s], rows = offsets.i()[s + 1] - row0, blocks = (rows * group + block - 1) / block;
    const int key_head = int(item / blocks);
    int64_t u = item % blocks * block;
    const int64_t last = u + block < rows * group ? u + block : rows * group, length = length_of(s);
    const Pages<T> pages = pages_of(s);
    const float* from = q.f() + row0 * q.last();
    float* to = y.f() + row0 * y.last();
    const int32_t* at = positions ? positions + row0 : nullptr;
    if constexpr (kMost == 8)
      for (; last - u >= 8; u += 8) attend<T, 8>(rule, pages, key_head, from, to, at, 0, length, u, scratch);
    for (; last - u >= 4; u += 4) attend<T, 4>(rule, pages, key_head, from, to, at, 0, length, u, scratch);
    for (; last - u >= 2; u += 2) attend<T, 2>(rule, pages, key_head, from, to, at, 0, length, u, scratch);
    for (; u < last; ++u) attend<T, 1>(rule, pages, key_head, from, to, at, 0, length, u, scratch);
  });
}

static Rule read_rule(const Step& step, const int32_t* integers) {
  return {integers[0], integers[1], integers[2], integers[3] != 0, step.numbers[0], step.numbers[1], step.number_count > 2 ? step.numbers + 2 : nullptr};
}

static bool good_offsets(const Step& step, const Array& offsets, int64_t rows) {
  const int32_t* o = offsets.i();
  const int64_t n = offsets.size();
  bool good = n >= 1 && o[0] == 0 && o[n - 1] == rows;
  for (int64_t s = 1; s < n; ++s) good = good && o[s] >= o[s - 1];
  if (!good) raise(step, kIdOutOfRange);
  return good;
}

// Every page that these rows and lengths touch is one of the cache's.
static bool good_places(const Step& step, const Array& positions, const Array& offsets, const Array& lengths, const Array& table, int64_t rows) {
  if (!good_offsets(step, offsets, rows)) return false;
  const int64_t columns = table.last();
  const auto refuse = [&](int64_t number) {
    raise(step, kPageOutOfRange, number);
    return false;
  };
  for (int64_t s = 0; s < lengths.size(); ++s) {
    const int32_t* pages = table.i() + s * columns;
    const int64_t length = lengths.i()[s], used = (length + kPageSize - 1) / kPageSize;
    const auto good = [&](int64_t p) { return pages[p] >= 0 && pages[p] < step.cache->pages; };
    if (length < 0 || used > columns) return refuse(length);
    for (int64_t p = 0; p < used; ++p)
      if (!good(p)) return refuse(pages[p]);
    for (int64_t r = offsets.i()[s]; r < offsets.i()[s + 1]; ++r) {
      const int64_t position = positions.i()[r];
      if (position < 0 || position >= columns * kPageSize || !good(position / kPageSize)) return refuse(position);
    }
  }
  return true;
}

template <class T> static Pages<T> layer_pages(const Cache& cache, int layer, const int32_t* table) {
  const Cache::Layer& l = cache.layers[layer];
  return {reinterpret_cast<T*>(l.keys), reinterpret_cast<T*>(l.values), l.heads, l.key_size, l.value_size, table, 0};
}

}  // namespace frugal::FRUGAL_ISA

// cache_write: arrays k, v, positions [T], rowOffsets [S+1], contextLengths [S], pageTable [S, C]; integers: layer.
KERNEL(cache_write) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &k = step.arrays[0], &v = step.arrays[1], &positions = step.arrays[2], &offsets = step.arrays[3], &lengths = step.arrays[4], &table = step.arrays[5];
  if (!good_places(step, positions, offsets, lengths, table, k.rows())) return;
  const int64_t columns = table.last();
  share(step, k.rows(), row_grain(16 * k.last()), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      int64_t s = 0;
      while (offsets.i()[s + 1] <= r) ++s;
      const int32_t* pages = table.i() + s * columns;
      const float *keys = k.f() + r * k.last(), *values = v.f() + r * v.last();
      if (step.cache->format == Cache::f32) write_row(layer_pages<float>(*step.cache, step.integers[0], pages), positions.i()[r], keys, values);
      else write_row(layer_pages<uint16_t>(*step.cache, step.integers[0], pages), positions.i()[r], keys, values);
    }
  });
}

// cache_attend: arrays q, positions, rowOffsets, contextLengths, pageTable, y; integers: layer, heads, key heads, window, causal; numbers: scale, softcap, slopes...
KERNEL(cache_attend) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &q = step.arrays[0], &positions = step.arrays[1], &offsets = step.arrays[2], &lengths = step.arrays[3], &table = step.arrays[4], &y = step.arrays[5];
  if (!good_places(step, positions, offsets, lengths, table, q.rows())) return;
  const Rule rule = read_rule(step, step.integers + 1);
  const auto length = [&](int64_t s) { return int64_t(lengths.i()[s]); };
  const auto run = [&]<class T>(T) {
    attend_all<T>(step, threads, rule, q, y, offsets, positions.i(), [&](int64_t s) { return layer_pages<T>(*step.cache, step.integers[0], table.i() + s * table.last()); }, length);
  };
  if (step.cache->format == Cache::f32) run(float());
  else run(uint16_t());
}

// Attention within rows, without a cache: keys and values first go to pages in the arena, sequence s from page rowOffsets[s] / 32 + s on.
// attention_write: arrays k, v, rowOffsets, pages; integers: key heads.    attention: arrays q, rowOffsets, pages, y; integers heads, key heads, window, causal, value size.
static frugal::FRUGAL_ISA::Pages<float> own_pages(const frugal::Array& pages, int heads, int key_size, int value_size, int64_t rows, int64_t sequences, int64_t offset, int64_t s) {
  const int64_t count = rows / frugal::kPageSize + sequences;
  return {pages.f(), pages.f() + count * heads * key_size * frugal::kPageSize, heads, key_size, value_size, nullptr, offset / frugal::kPageSize + s};
}

KERNEL(attention_write) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &k = step.arrays[0], &v = step.arrays[1], &offsets = step.arrays[2], &pages = step.arrays[3];
  if (!good_offsets(step, offsets, k.rows())) return;
  const int heads = step.integers[0];
  share(step, k.rows(), row_grain(16 * k.last()), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      int64_t s = 0;
      while (offsets.i()[s + 1] <= r) ++s;
      const int64_t offset = offsets.i()[s];
      write_row(own_pages(pages, heads, int(k.last() / heads), int(v.last() / heads), k.rows(), offsets.size() - 1, offset, s), r - offset, k.f() + r * k.last(), v.f() + r * v.last());
    }
  });
}

KERNEL(attention) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &q = step.arrays[0], &offsets = step.arrays[1], &pages = step.arrays[2], &y = step.arrays[3];
  if (!good_offsets(step, offsets, q.rows())) return;
  const Rule rule = read_rule(step, step.integers);
  const int key_size = int(q.last() / rule.heads), value_size = int(y.last() / rule.heads);
  attend_all<float>(
      step, threads, rule, q, y, offsets, nullptr,
      [&](int64_t s) { return own_pages(pages, rule.key_heads, key_size, value_size, q.rows(), offsets.size() - 1, offsets.i()[s], s); },
      [&](int64_t s) { return int64_t(offsets.i()[s + 1] - offsets.i()[s]); });
}
