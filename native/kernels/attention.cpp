// Attention over pages of 32 tokens: cache_write puts rows into pages, cache_attend reads them; attention does both with pages of its own.
#include "attention-walk.h"

namespace frugal::FRUGAL_ISA {

// One row's keys and values into its page.
template <class Format> static void write_row(const Pages& pages, int64_t position, const float* k, const float* v) {
  const int64_t index = position / kPageSize, slot = position % kPageSize;
  for (int head = 0; head < pages.heads; ++head) {
    Format::write_key(pages.key(index, head), slot, k + head * pages.key_size, pages.key_size);
    Format::write_value(pages.value(index, head), slot, v + head * pages.value_size, pages.value_size);
  }
}

// What a step attends to: queries q and results y of all sequences, and where each sequence's rows, positions and pages are.
struct Rows {
  const Array &q, &y, &offsets;
  const int32_t* positions;  // null: from 0 on
  int64_t sequences() const { return offsets.size() - 1; }
  int64_t first(int64_t s) const { return offsets.i()[s]; }
  int64_t count(int64_t s) const { return offsets.i()[s + 1] - offsets.i()[s]; }
};

// `pages_of(s)` and `length_of(s)` say where and how long sequence s is.
template <class Format, class PagesOf, class LengthOf>
static void attend_all(const Step& step, int threads, const Rule& rule, const Rows& rows, PagesOf pages_of, LengthOf length_of) {
  using Many = typename ForMany<Format>::Type;
  const int size = int(rows.q.last() / rule.heads), value_size = int(rows.y.last() / rule.heads);
  const int64_t group = rule.heads / rule.key_heads, queries = rows.q.rows() * rule.heads;
  // With few queries, smaller blocks keep all threads busy; the results are the same.
  int64_t block = kMostQueries;
  while (block > kMost && queries < 2 * block * threads) block /= 2;
  if (queries < block * threads) block = queries > 0 ? (queries + threads - 1) / threads : 1;
  const int64_t room = Room<Format>(size, value_size).queries(step.scratch_bytes);
  if (room < 1) return raise(step, kScratchTooSmall);
  if (block > room) block = room;
  const bool room_for_many = Room<Many>(size, value_size).queries(step.scratch_bytes) >= block;
  const auto items_of = [&](int64_t s) { return (rows.count(s) * group + block - 1) / block * rule.key_heads; };
  int64_t items = 0;
  for (int64_t s = 0; s < rows.sequences(); ++s) items += items_of(s);
  share(step, items, 1, [&](int64_t taken, int64_t) {
    int64_t item = items - 1 - taken, s = 0;  // the last rows, which see most, first
    for (; item >= items_of(s); ++s) item -= items_of(s);
    const int64_t row = rows.first(s), first = item / rule.key_heads * block, left = rows.count(s) * group - first,
                  count = left < block ? left : block;
    const auto run = count > kMost && room_for_many ? attend<Many> : attend<Format>;
    run(rule, pages_of(s), int(item % rule.key_heads), rows.q.f() + row * rows.q.last(), rows.y.f() + row * rows.y.last(),
        rows.positions ? rows.positions + row : nullptr, length_of(s), first, int(count), step.scratch);
  });
}

static Rule read_rule(const Step& step, const int32_t* integers) {
  return {integers[0],
          integers[1],
          integers[2],
          integers[3] != 0,
          step.numbers[0],
          step.numbers[1],
          step.number_count > 2 ? step.numbers + 2 : nullptr};
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
static bool good_places(const Step& step, int64_t pages_there, const Array& positions, const Array& offsets, const Array& lengths,
                        const Array& table, int64_t rows) {
  if (!good_offsets(step, offsets, rows)) return false;
  const int64_t columns = table.last();
  const auto refuse = [&](int64_t number) {
    raise(step, kPageOutOfRange, number);
    return false;
  };
  for (int64_t s = 0; s < lengths.size(); ++s) {
    const int32_t* pages = table.i() + s * columns;
    const int64_t length = lengths.i()[s], used = (length + kPageSize - 1) / kPageSize;
    const auto good = [&](int64_t p) { return pages[p] >= 0 && pages[p] < pages_there; };
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

static Pages layer_pages(const Cache& cache, int layer, const int32_t* table) {
  const Cache::Layer& l = cache.layers[layer];
  return {l.keys,
          l.values,
          Cache::key_bytes(cache.format, l.key_size),
          Cache::value_bytes(cache.format, l.value_size),
          l.heads,
          l.key_size,
          l.value_size,
          table,
          0};
}

// Calls f.<Format>() with the format of the cache.
template <class F> static void with_format(const Cache& cache, F f) {
  if (cache.format == Cache::f32) f.template operator()<Floats>();
  else if (cache.format == Cache::f16) f.template operator()<Halves>();
  else if (cache.format == Cache::q8_0) f.template operator()<Blocks>();
  else f.template operator()<Nibbles>();
}

}  // namespace frugal::FRUGAL_ISA

// cache_write: arrays k, v, positions [T], rowOffsets [S+1], contextLengths [S], pageTable [S, C]; integers: layer.
KERNEL(cache_write) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &k = step.arrays[0], &v = step.arrays[1], &positions = step.arrays[2], &offsets = step.arrays[3], &lengths = step.arrays[4],
              &table = step.arrays[5];
  if (!good_places(step, step.cache->layers[step.integers[0]].pages, positions, offsets, lengths, table, k.rows())) return;
  const int64_t columns = table.last();
  share(step, k.rows(), row_grain(16 * k.last()), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      int64_t s = 0;
      while (offsets.i()[s + 1] <= r) ++s;
      const Pages pages = layer_pages(*step.cache, step.integers[0], table.i() + s * columns);
      with_format(*step.cache,
                  [&]<class Format>() { write_row<Format>(pages, positions.i()[r], k.f() + r * k.last(), v.f() + r * v.last()); });
    }
  });
}

// cache_attend: arrays q, positions, rowOffsets, contextLengths, pageTable, y; integers: layer, heads, key heads, window, causal; numbers: scale, softcap, slopes...
KERNEL(cache_attend) {
  using namespace frugal;
  using namespace frugal::FRUGAL_ISA;
  const Array &q = step.arrays[0], &positions = step.arrays[1], &offsets = step.arrays[2], &lengths = step.arrays[3],
              &table = step.arrays[4], &y = step.arrays[5];
  if (!good_places(step, step.cache->layers[step.integers[0]].pages, positions, offsets, lengths, table, q.rows())) return;
  const Rule rule = read_rule(step, step.integers + 1);
  const auto length = [&](int64_t s) { return int64_t(lengths.i()[s]); };
  with_format(*step.cache, [&]<class Format>() {
    attend_all<Format>(
        step, threads, rule, {q, y, offsets, positions.i()},
        [&](int64_t s) { return layer_pages(*step.cache, step.integers[0], table.i() + s * table.last()); }, length);
  });
}

// Attention within rows, without a cache: keys and values first go to pages in the arena, sequence s from page rowOffsets[s] / 32 + s on.
// attention_write: arrays k, v, rowOffsets, pages; integers: key heads.    attention: arrays q, rowOffsets, pages, y; integers heads, key heads, window, causal, value size.
static frugal::FRUGAL_ISA::Pages own_pages(const frugal::Array& pages, int heads, int key_size, int value_size, int64_t rows,
                                           int64_t sequences, int64_t offset, int64_t s) {
  using frugal::Cache;
  const int64_t count = rows / frugal::kPageSize + sequences, key_bytes = Cache::key_bytes(Cache::f32, key_size);
  uint8_t* keys = static_cast<uint8_t*>(pages.data);
  return {keys,    keys + count * heads * key_bytes, key_bytes, Cache::value_bytes(Cache::f32, value_size), heads, key_size, value_size,
          nullptr, offset / frugal::kPageSize + s};
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
      write_row<Floats>(own_pages(pages, heads, int(k.last() / heads), int(v.last() / heads), k.rows(), offsets.size() - 1, offset, s),
                        r - offset, k.f() + r * k.last(), v.f() + r * v.last());
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
  attend_all<Floats>(
      step, threads, rule, {q, y, offsets, nullptr},
      [&](int64_t s) { return own_pages(pages, rule.key_heads, key_size, value_size, q.rows(), offsets.size() - 1, offsets.i()[s], s); },
      [&](int64_t s) { return int64_t(offsets.i()[s + 1] - offsets.i()[s]); });
}
