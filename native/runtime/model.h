// A loaded model: packed weights, programs, arena, cache, threads. Used by one thread at a time (the driver of the binding), but for `fill`:
// meanwhile another thread may add vectors and programs and allocate.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "dispatch.h"
#include "memory.h"
#include "pool.h"
#include "program.h"

namespace frugal {

// Rows of a file or of memory that fill a matrix, in order.
struct RowSource {
  int matrix;
  int file;             // index of a path, or -1
  const uint8_t* data;  // where file < 0
  uint64_t offset;      // of the first row
  int64_t rows;
};

struct Binding {
  void* data;
  int64_t count;  // 4-byte elements
};

// How a run ended: `step` is the step of a fault.
struct Outcome {
  enum Kind { done, cancelled, fault, bad_binding } kind = done;
  int step = 0, fault_code = 0, kernel = 0, detail = 0;
};

class Model {
 public:
  Model(const KernelSet& set, int threads) : set_(set), pool_(threads) {}

  int add_vector(const void* data, int64_t count);
  // Rows of all experts; each expert is padded to whole groups.
  int add_matrix(int type, int64_t rows, int64_t inputs, int64_t experts);
  // A coarse copy of a matrix of whole blocks without experts, at most one each; -1 where it can't be made.
  int add_coarse(int matrix);
#if defined(__wasm__)
  // Memory for the weights; false where there is not enough.
  bool begin_fill() { return place_weights(); }
  // Packs rows from `first` of a matrix, whole groups or all that are left of an expert. The first row that holds NaN or infinity, or -1; -2 where
  // there are no such rows.
  int64_t fill(int matrix, int64_t first, int64_t count, const uint8_t* rows);
  uint64_t packed_bytes() const { return packed_bytes_; }
  Pool& pool() { return pool_; }
#endif
  // Packs all sources; empty on success, else what went wrong. `done_bytes` is advanced for progress, `cancel` stops.
  std::string fill(const std::vector<std::string>& paths, const std::vector<RowSource>& sources, std::atomic<int64_t>& done_bytes,
                   const std::atomic<int32_t>* cancel);
  size_t weight_bytes() const { return weights_.bytes() + vector_bytes_; }

  int add_program(const int32_t* words, size_t count);
  // False where memory is short. `layers`: heads, key size, value size and pages of each.
  bool allocate(uint64_t arena_bytes, uint64_t scratch_bytes, int cache_format, const std::vector<int32_t>& layers);
  size_t cache_bytes() const { return cache_memory_.bytes(); }

  // Bytes that these layers keep in a page; 0 where there is no such layer.
  size_t page_bytes(const std::vector<int32_t>& layers) const;
  // Whole pages of these layers, in order. False, and nothing done, where a page is not there or sizes differ.
  bool copy_pages(const std::vector<int32_t>& layers, const std::vector<int32_t>& from, const std::vector<int32_t>& to);
  bool read_pages(const std::vector<int32_t>& layers, const std::vector<int32_t>& pages, uint8_t* bytes, size_t count) const;
  bool write_pages(const std::vector<int32_t>& layers, const std::vector<int32_t>& pages, const uint8_t* bytes, size_t count);

  Outcome run(int program, const int32_t symbols[4], const std::vector<Binding>& inputs, const std::vector<Binding>& outputs,
              const std::atomic<int32_t>* cancel);

 private:
  struct PackedMatrix {
    Matrix matrix;
    int64_t experts, rows_per_expert, groups_per_expert;
    uint64_t offset, scale_offset;
    int coarse = -1;  // its copy
  };
  // Whole groups of one expert.
  struct Piece {
    const PackedMatrix* matrix;
    int64_t expert, first, last;
    int64_t first_row() const { return expert * matrix->rows_per_expert + first * kGroupRows; }
    int64_t last_row() const {
      const int64_t end = last * kGroupRows, rows = matrix->rows_per_expert;
      return expert * rows + (end < rows ? end : rows);
    }
  };
  bool place_weights();
  // Packs a piece whose stored rows begin at `rows`; the first row that holds NaN or infinity, or -1.
  int64_t pack(const Piece& piece, const uint8_t* rows, std::vector<float>& numbers) const;
  struct alignas(64) StepState {
    std::atomic<int32_t> next, fault, detail, stop, failed, ready;
  };
  bool has_pages(const std::vector<int32_t>& layers, const std::vector<int32_t>& pages) const;
  bool resolve(const Operand& operand, const int32_t symbols[4], const std::vector<Binding>& inputs, const std::vector<Binding>& outputs,
               Array& array) const;

  const KernelSet& set_;
  Pool pool_;
  std::vector<std::unique_ptr<uint32_t[]>> vectors_;
  std::vector<int64_t> vector_counts_;
  size_t vector_bytes_ = 0, scratch_bytes_ = 0;
  uint64_t packed_bytes_ = 0;
  std::vector<PackedMatrix> matrices_;
  std::vector<Program> programs_;
  Memory weights_, arena_, scratch_, cache_memory_;
  std::vector<Cache::Layer> layers_;
  Cache cache_;
};

}  // namespace frugal
