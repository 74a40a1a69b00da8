// What the WebAssembly module exports: the core for src/backends/wasm/. Arguments that are places are offsets in the module's memory. Each
// function may be called by the thread that owns the model, but for `work`, and for those marked "driver": they compute, and only the driver
// (thread 0 of the pool) may call them.
#include <string.h>

#include "../runtime/dispatch.h"
#include "../runtime/model.h"
#include "heap.h"

#define EXPORT(name) extern "C" __attribute__((export_name(#name)))

using frugal::Binding;
using frugal::Model;
using frugal::Outcome;

// Room for inputs, outputs and stacks of threads; 0 where memory is short.
EXPORT(take) void* take_room(size_t bytes) { return frugal_take(64, bytes); }
EXPORT(give) void give_room(void* room) { frugal_give(room); }

EXPORT(create) Model* create(int threads) { return new Model(*frugal::choose_kernels(nullptr), threads); }
EXPORT(work) void work(Model* model, int thread) { model->pool().work(thread); }

EXPORT(addVector) int add_vector(Model* model, const void* numbers, int count) { return model->add_vector(numbers, count); }
EXPORT(addMatrix) int add_matrix(Model* model, int type, int rows, int inputs, int experts) {
  return model->add_matrix(type, rows, inputs, experts);
}
EXPORT(addCoarse) int add_coarse(Model* model, int matrix) { return model->add_coarse(matrix); }
EXPORT(packedBytes) double packed_bytes(const Model* model) { return double(model->packed_bytes()); }
EXPORT(beginFill) bool begin_fill(Model* model) { return model->begin_fill(); }
// driver
EXPORT(fill) int fill(Model* model, int matrix, int first, int count, const uint8_t* rows) {
  return int(model->fill(matrix, first, count, rows));
}

EXPORT(addProgram) int add_program(Model* model, const int32_t* words, int count) { return model->add_program(words, size_t(count)); }
EXPORT(allocate)
bool allocate(Model* model, double arena_bytes, double scratch_bytes, int format, const int32_t* layers, int count) {
  if (!(arena_bytes < 4294967296.0) || !(scratch_bytes < 4294967296.0)) return false;
  return model->allocate(size_t(arena_bytes), size_t(scratch_bytes), format, {layers, layers + count});
}
EXPORT(weightBytes) double weight_bytes(const Model* model) { return double(model->weight_bytes()); }
EXPORT(cacheBytes) double cache_bytes(const Model* model) { return double(model->cache_bytes()); }

EXPORT(pageBytes) double page_bytes(const Model* model, const int32_t* layers, int count) {
  return double(model->page_bytes({layers, layers + count}));
}
// driver
EXPORT(copyPages) bool copy_pages(Model* model, const int32_t* layers, int layer_count, const int32_t* from, const int32_t* to, int count) {
  return model->copy_pages({layers, layers + layer_count}, {from, from + count}, {to, to + count});
}
EXPORT(readPages)
bool read_pages(Model* model, const int32_t* layers, int layer_count, const int32_t* pages, int count, uint8_t* bytes, int length) {
  return model->read_pages({layers, layers + layer_count}, {pages, pages + count}, bytes, size_t(length));
}
EXPORT(writePages)
bool write_pages(Model* model, const int32_t* layers, int layer_count, const int32_t* pages, int count, const uint8_t* bytes, int length) {
  return model->write_pages({layers, layers + layer_count}, {pages, pages + count}, bytes, size_t(length));
}

// driver. `arrays`: place and count of each input, then of each output. `cancel` is a flag others may set. Writes kind, step, fault, kernel, detail.
EXPORT(run)
void run(Model* model, int program, const int32_t* symbols, const int32_t* arrays, int inputs, int outputs,
         const std::atomic<int32_t>* cancel, int32_t* outcome) {
  const auto bindings = [&](int first, int count) {
    std::vector<Binding> list;
    for (int i = first; i < first + count; ++i) list.push_back({reinterpret_cast<void*>(arrays[2 * i]), arrays[2 * i + 1]});
    return list;
  };
  const Outcome ended = model->run(program, symbols, bindings(0, inputs), bindings(inputs, outputs), cancel);
  const int32_t words[] = {ended.kind, ended.step, ended.fault_code, ended.kernel, ended.detail};
  memcpy(outcome, words, sizeof words);
}
