// Model: weights from files and memory. Threads read runs of stored rows into small buffers and pack them, so the file is never mapped or held
// as a whole.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>

#include "model.h"

namespace frugal {

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
  if (!place_weights()) return "memory";

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
      const int64_t from = piece.first_row(), to = piece.last_row();
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
      const int64_t bad = pack(piece, buffer.data(), numbers);
      if (bad >= 0) {
        if (!failed.exchange(true)) {
          bad_row = bad;
          bad_matrix = &m - matrices_.data();
        }
        return;
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
