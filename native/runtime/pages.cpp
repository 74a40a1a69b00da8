// Pages of the cache as bytes: copied within the cache, or out of it and back.
#include <string.h>

#include "model.h"

namespace frugal {

static size_t page_bytes_of(const Cache& cache, const Cache::Layer& layer) {
  return size_t(layer.heads) * size_t(Cache::key_bytes(cache.format, layer.key_size) + Cache::value_bytes(cache.format, layer.value_size));
}

bool Model::has_pages(const std::vector<int32_t>& layers, const std::vector<int32_t>& pages) const {
  for (const int32_t index : layers) {
    if (index < 0 || index >= cache_.layer_count) return false;
    for (const int32_t page : pages)
      if (page < 0 || page >= layers_[size_t(index)].pages) return false;
  }
  return true;
}

size_t Model::page_bytes(const std::vector<int32_t>& layers) const {
  size_t bytes = 0;
  if (has_pages(layers, {}))
    for (const int32_t index : layers) bytes += page_bytes_of(cache_, layers_[size_t(index)]);
  return bytes;
}

// Calls f(place, bytes) for the keys and the values of a page in each layer.
template <class F> static void each_part(const Cache& cache, const std::vector<int32_t>& layers, int64_t page, F f) {
  for (const int32_t index : layers) {
    const Cache::Layer& layer = cache.layers[index];
    const size_t keys = size_t(layer.heads) * size_t(Cache::key_bytes(cache.format, layer.key_size));
    f(layer.keys + size_t(page) * keys, keys);
    const size_t values = page_bytes_of(cache, layer) - keys;
    f(layer.values + size_t(page) * values, values);
  }
}

bool Model::copy_pages(const std::vector<int32_t>& layers, const std::vector<int32_t>& from, const std::vector<int32_t>& to) {
  if (from.size() != to.size() || !has_pages(layers, from) || !has_pages(layers, to)) return false;
  for (size_t i = 0; i < from.size(); ++i)
    each_part(cache_, layers, to[i], [&, distance = int64_t(from[i]) - to[i]](uint8_t* part, size_t bytes) {
      if (distance != 0) memcpy(part, part + distance * int64_t(bytes), bytes);
    });
  return true;
}

bool Model::read_pages(const std::vector<int32_t>& layers, const std::vector<int32_t>& pages, uint8_t* bytes, size_t count) const {
  if (!has_pages(layers, pages) || count != page_bytes(layers) * pages.size()) return false;
  for (const int32_t page : pages)
    each_part(cache_, layers, page, [&](const uint8_t* part, size_t n) {
      memcpy(bytes, part, n);
      bytes += n;
    });
  return true;
}

bool Model::write_pages(const std::vector<int32_t>& layers, const std::vector<int32_t>& pages, const uint8_t* bytes, size_t count) {
  if (!has_pages(layers, pages) || count != page_bytes(layers) * pages.size()) return false;
  for (const int32_t page : pages)
    each_part(cache_, layers, page, [&](uint8_t* part, size_t n) {
      memcpy(part, bytes, n);
      bytes += n;
    });
  return true;
}

}  // namespace frugal
