// Model: weights from rows that JavaScript lays into the module's memory, some at a time.
#include "../runtime/model.h"

namespace frugal {

int64_t Model::fill(int index, int64_t first, int64_t count, const uint8_t* rows) {
  if (index < 0 || size_t(index) >= matrices_.size()) return -2;
  const PackedMatrix& m = matrices_[size_t(index)];
  if (m.matrix.type == kCoarseType || first < 0 || count < 1 || first > m.matrix.rows - count) return -2;
  const int64_t expert = first / m.rows_per_expert, start = first % m.rows_per_expert;
  if (start % kGroupRows != 0 || start + count > m.rows_per_expert) return -2;
  if (count % kGroupRows != 0 && start + count != m.rows_per_expert) return -2;
  const int64_t begin = start / kGroupRows, end = begin + (count + kGroupRows - 1) / kGroupRows;
  const size_t row_bytes = stored_row_bytes(m.matrix.type, m.matrix.inputs);
  std::atomic<int64_t> next{begin}, bad{-1};
  pool_.run([&](int) {
    std::vector<float> numbers;
    for (int64_t g = next.fetch_add(1); g < end; g = next.fetch_add(1)) {
      const int64_t found = pack({&m, expert, g, g + 1}, rows + size_t(g - begin) * kGroupRows * row_bytes, numbers);
      if (found >= 0) bad = found;
    }
  });
  return bad;
}

}  // namespace frugal
