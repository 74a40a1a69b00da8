// Model: weights, and how they are packed. Where their rows come from is the business of fill.cpp, and in WebAssembly of native/wasm/fill.cpp.
#include <string.h>

#include "../formats/finite.h"
#include "model.h"

namespace frugal {

int Model::add_vector(const void* data, int64_t count) {
  vectors_.emplace_back(new uint32_t[size_t(count) + 16]());
  memcpy(vectors_.back().get(), data, size_t(count) * 4);
  vector_counts_.push_back(count);
  vector_bytes_ += size_t(count) * 4;
  return int(vectors_.size()) - 1;
}

static uint64_t page_round(uint64_t bytes) { return (bytes + 4095) / 4096 * 4096; }

int Model::add_matrix(int type, int64_t rows, int64_t inputs, int64_t experts) {
  // A group's bytes must be a size on machines of 32 bits too.
  if (rows < 0 || inputs < 1 || rows > (int64_t(1) << 40) / inputs || uint64_t(inputs) > SIZE_MAX >> 8) return -1;
  const size_t group_bytes = packed_group_bytes(type, inputs);
  if (group_bytes == 0 || stored_row_bytes(type, inputs) == 0 || experts < 1 || rows % experts != 0) return -1;
  const int64_t per = rows / experts, groups = (per + kGroupRows - 1) / kGroupRows;
  const size_t scale_bytes = packed_scale_bytes(type, inputs);
  const uint64_t codes = page_round(uint64_t(group_bytes) * uint64_t(groups * experts));
  matrices_.push_back({{nullptr, nullptr, type, rows, inputs, group_bytes, scale_bytes, experts},
                       experts,
                       per,
                       groups,
                       packed_bytes_,
                       packed_bytes_ + codes});
  packed_bytes_ += codes + page_round(uint64_t(scale_bytes) * uint64_t(groups * experts));
  return int(matrices_.size()) - 1;
}

int Model::add_coarse(int matrix) {
  if (matrix < 0 || size_t(matrix) >= matrices_.size()) return -1;
  const PackedMatrix& of = matrices_[size_t(matrix)];
  const int64_t rows = of.matrix.rows, inputs = of.matrix.inputs;
  if (of.coarse >= 0 || of.matrix.type == kCoarseType || of.experts != 1 || inputs % 32 != 0) return -1;
  const size_t group_bytes = size_t(inputs) / 32 * 128, scale_bytes = 2 * kGroupRows;
  const uint64_t codes = page_round(uint64_t(group_bytes) * uint64_t(of.groups_per_expert));
  PackedMatrix copy = of;
  copy.matrix = {nullptr, nullptr, kCoarseType, rows, inputs, group_bytes, scale_bytes, 1};
  copy.offset = packed_bytes_;
  copy.scale_offset = packed_bytes_ + codes;
  packed_bytes_ += codes + page_round(uint64_t(scale_bytes) * uint64_t(of.groups_per_expert));
  matrices_.push_back(copy);
  return matrices_[size_t(matrix)].coarse = int(matrices_.size()) - 1;
}

bool Model::place_weights() {
  weights_ = Memory(packed_bytes_, true);
  if (!weights_.data()) return false;
  for (auto& m : matrices_) {
    m.matrix.data = weights_.data() + m.offset;
    m.matrix.scales = weights_.data() + m.scale_offset;
  }
  return true;
}

int64_t Model::pack(const Piece& piece, const uint8_t* rows, std::vector<float>& numbers) const {
  const PackedMatrix& m = *piece.matrix;
  const size_t row_bytes = stored_row_bytes(m.matrix.type, m.matrix.inputs);
  const int64_t from = piece.first_row(), to = piece.last_row();
  const int64_t bad = first_row_not_finite(m.matrix.type, rows, row_bytes, to - from);
  if (bad >= 0) return from + bad;
  for (int64_t g = piece.first; g < piece.last; ++g) {
    const int64_t row = piece.expert * m.rows_per_expert + g * kGroupRows;
    const int count = int(to - row < kGroupRows ? to - row : kGroupRows);
    const size_t group = size_t(piece.expert * m.groups_per_expert + g);
    set_.pack_group(m.matrix.type, rows + size_t(row - from) * row_bytes, row_bytes, count, m.matrix.inputs,
                    weights_.data() + m.offset + group * m.matrix.group_bytes,
                    weights_.data() + m.scale_offset + group * m.matrix.scale_bytes);
    if (m.coarse < 0) continue;
    const PackedMatrix& copy = matrices_[size_t(m.coarse)];
    numbers.resize(size_t(m.matrix.inputs) * kGroupRows);
    set_.pack_coarse(m.matrix, int64_t(group), numbers.data(), weights_.data() + copy.offset + group * copy.matrix.group_bytes,
                     weights_.data() + copy.scale_offset + group * copy.matrix.scale_bytes);
  }
  return -1;
}

}  // namespace frugal
