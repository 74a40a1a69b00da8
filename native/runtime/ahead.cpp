#include "ahead.h"

#include <algorithm>

namespace frugal {

static void prefetch(const uint8_t* p, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i, 0, 2);
}

void read_ahead(const Step& linear, int thread, int threads, size_t bytes, const std::atomic<int32_t>& stop) {
  int64_t total = 0;
  for (int a = 2; a + 4 < linear.array_count; a += 5) total += (linear.arrays[a].matrix->rows + kGroupRows - 1) / kGroupRows;
  int64_t start = 0;
  const int64_t begin = total * thread / threads, end = total * (thread + 1) / threads;
  size_t done = 0;
  for (int a = 2; a + 4 < linear.array_count; a += 5) {
    const int64_t groups = (linear.arrays[a].matrix->rows + kGroupRows - 1) / kGroupRows;
    for (int64_t g = std::max(begin, start); g < std::min(end, start + groups); ++g)
      for (int which = 0; which < 2; ++which) {
        const Matrix* matrix = linear.arrays[a + which].matrix;
        if (!matrix) continue;
        prefetch(matrix->group_scales(g - start), matrix->scale_bytes);
        for (size_t at = 0; at < matrix->group_bytes; at += 4096) {
          if (done >= bytes || stop.load(std::memory_order_relaxed) != 0) return;
          const size_t piece = std::min<size_t>(4096, matrix->group_bytes - at);
          prefetch(matrix->group(g - start) + at, piece);
          done += piece;
        }
      }
    start += groups;
  }
}

}  // namespace frugal
