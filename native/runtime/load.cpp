// Model: weights. Threads read runs of stored rows into small buffers and pack them, so the file is never mapped or held as a whole.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>

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

static size_t page_round(size_t bytes) { return (bytes + 4095) / 4096 * 4096; }

int Model::add_matrix(int type, int64_t rows, int64_t inputs, int64_t experts) {
  if (rows < 0 || inputs < 1 || rows > (int64_t(1) << 40) / inputs) return -1;
  const size_t group_bytes = packed_group_bytes(type, inputs);
  if (group_bytes == 0 || stored_row_bytes(type, inputs) == 0 || experts < 1 || rows % experts != 0) return -1;
  const int64_t per = rows / experts, groups = (per + kGroupRows - 1) / kGroupRows;
  const size_t scale_bytes = packed_scale_bytes(type, inputs), codes = page_round(group_bytes * size_t(groups * experts));
  matrices_.push_back({{nullptr, nullptr, type, rows, inputs, group_bytes, scale_bytes, experts},
                       experts,
                       per,
                       groups,
                       packed_bytes_,
                       packed_bytes_ + codes});
  packed_bytes_ += codes + page_round(scale_bytes * size_t(groups * experts));
  return int(matrices_.size()) - 1;
}

int Model::add_coarse(int matrix) {
  if (matrix < 0 || size_t(matrix) >= matrices_.size()) return -1;
  const PackedMatrix& of = matrices_[size_t(matrix)];
  const int64_t rows = of.matrix.rows, inputs = of.matrix.inputs;
  if (of.coarse >= 0 || of.matrix.type == kCoarseType || of.experts != 1 || inputs % 32 != 0) return -1;
  const size_t group_bytes = size_t(inputs) / 32 * 128, scale_bytes = 2 * kGroupRows;
  const size_t codes = page_round(group_bytes * size_t(of.groups_per_expert));
  PackedMatrix copy = of;
  copy.matrix = {nullptr, nullptr, kCoarseType, rows, inputs, group_bytes, scale_bytes, 1};
  copy.offset = packed_bytes_;
  copy.scale_offset = packed_bytes_ + codes;
  packed_bytes_ += codes + page_round(scale_bytes * size_t(of.groups_per_expert));
  matrices_.push_back(copy);
  return matrices_[size_t(matrix)].coarse = int(matrices_.size()) - 1;
}

static bool read_fully(int file, uint8_t* to, size_t bytes, uint64_t offset) {
  while (bytes > 0) {
    const ssize_t n = pread(file, to, bytes, off_t(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    to += n;
    offset += uint64_t(n);
    bytes -= size_t(n);
  }
  return true;
}

std::string Model::fill(const std::vector<std::string>& paths, const std::vector<RowSource>& sources, std::atomic<int64_t>& done_bytes,
                        const std::atomic<int32_t>* cancel) {
  weights_ = Memory(packed_bytes_, true);
  if (!weights_.data()) return "memory";
  for (auto& m : matrices_) {
    m.matrix.data = weights_.data() + m.offset;
    m.matrix.scales = weights_.data() + m.scale_offset;
  }

  std::vector<int> files;
  std::string error;
  for (const auto& path : paths) {
    files.push_back(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (files.back() < 0) error = "open " + path + ": " + strerror(errno);
  }
  // Sources of each matrix in order, with the row each begins at.
  std::vector<std::vector<std::pair<int64_t, const RowSource*>>> parts(matrices_.size());
  std::vector<int64_t> filled(matrices_.size(), 0);
  for (const auto& source : sources) {
    parts[size_t(source.matrix)].emplace_back(filled[size_t(source.matrix)], &source);
    filled[size_t(source.matrix)] += source.rows;
  }
  // Pieces of work: about 256 KB of whole groups of one expert.
  struct Piece {
    const PackedMatrix* matrix;
    int64_t expert, first, last;
  };
  std::vector<Piece> pieces;
  for (size_t i = 0; i < matrices_.size(); ++i) {
    const PackedMatrix& m = matrices_[i];
    if (m.matrix.type == kCoarseType) continue;  // filled beside what it is a copy of
    if (filled[i] != m.matrix.rows) error = "rows";
    const int64_t grain = std::max<int64_t>(1, int64_t((256 << 10) / m.matrix.group_bytes));
    for (int64_t e = 0; e < m.experts; ++e)
      for (int64_t g = 0; g < m.groups_per_expert; g += grain) pieces.push_back({&m, e, g, std::min(g + grain, m.groups_per_expert)});
  }
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  std::atomic<int64_t> bad_matrix{-1}, bad_row{0};
  const auto work = [&](int) {
    std::vector<uint8_t> buffer;
    std::vector<float> numbers;
    for (;;) {
      const size_t at = next.fetch_add(1);
      if (at >= pieces.size() || failed || (cancel && *cancel)) return;
      const Piece& piece = pieces[at];
      const PackedMatrix& m = *piece.matrix;
      const size_t row_bytes = stored_row_bytes(m.matrix.type, m.matrix.inputs);
      const int64_t from = piece.expert * m.rows_per_expert + piece.first * kGroupRows;
      const int64_t to = piece.expert * m.rows_per_expert + std::min(piece.last * kGroupRows, m.rows_per_expert);
      buffer.resize(size_t(to - from) * row_bytes + 64);
      const auto& list = parts[size_t(piece.matrix - matrices_.data())];
      // The last part that begins at or before `from`.
      size_t p = size_t(std::upper_bound(list.begin(), list.end(), from, [](int64_t row, const auto& part) { return row < part.first; }) -
                        list.begin()) -
                 1;
      for (int64_t row = from; row < to; ++p) {
        const auto& [begin, source] = list[p];
        const int64_t end = std::min(to, begin + source->rows);
        if (end <= row) continue;
        uint8_t* into = buffer.data() + size_t(row - from) * row_bytes;
        const uint64_t offset = source->offset + uint64_t(row - begin) * row_bytes;
        const size_t bytes = size_t(end - row) * row_bytes;
        if (source->file < 0) memcpy(into, source->data + offset, bytes);
        else if (!read_fully(files[size_t(source->file)], into, bytes, offset)) {
          failed = true;
          return;
        }
        row = end;
      }
      const int64_t bad = first_row_not_finite(m.matrix.type, buffer.data(), row_bytes, to - from);
      if (bad >= 0) {
        if (!failed.exchange(true)) {
          bad_row = from + bad;
          bad_matrix = &m - matrices_.data();
        }
        return;
      }
      for (int64_t g = piece.first; g < piece.last; ++g) {
        const int64_t row = piece.expert * m.rows_per_expert + g * kGroupRows;
        const int count = int(std::min<int64_t>(kGroupRows, to - row));
        const size_t group = size_t(piece.expert * m.groups_per_expert + g);
        set_.pack_group(m.matrix.type, buffer.data() + size_t(row - from) * row_bytes, row_bytes, count, m.matrix.inputs,
                        weights_.data() + m.offset + group * m.matrix.group_bytes,
                        weights_.data() + m.scale_offset + group * m.matrix.scale_bytes);
        if (m.coarse < 0) continue;
        const PackedMatrix& copy = matrices_[size_t(m.coarse)];
        numbers.resize(size_t(m.matrix.inputs) * kGroupRows);
        set_.pack_coarse(m.matrix, int64_t(group), numbers.data(), weights_.data() + copy.offset + group * copy.matrix.group_bytes,
                         weights_.data() + copy.scale_offset + group * copy.matrix.scale_bytes);
      }
      done_bytes += int64_t(size_t(to - from) * row_bytes);
    }
  };
  if (error.empty()) pool_.run(work);
  for (const int file : files)
    if (file >= 0) close(file);
  if (error.empty() && failed) error = bad_matrix < 0 ? "read" : "not finite " + std::to_string(bad_matrix) + " " + std::to_string(bad_row);
  if (error.empty() && cancel && *cancel) error = "cancelled";
  return error;
}

}  // namespace frugal
