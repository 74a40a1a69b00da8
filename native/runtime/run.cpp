// Model: programs, memory and runs.
#include <algorithm>

#include "model.h"

namespace frugal {

int Model::add_program(const int32_t* words, size_t count) {
  Program program;
  if (!parse_program(words, count, set_.count, program)) return -1;
  programs_.push_back(std::move(program));
  return int(programs_.size()) - 1;
}

bool Model::allocate(size_t arena_bytes, size_t scratch_bytes, int cache_format, int64_t cache_pages, const std::vector<int32_t>& layers) {
  arena_ = Memory(arena_bytes + 64, true);
  scratch_bytes_ = (scratch_bytes + 127) / 64 * 64;
  scratch_ = Memory(scratch_bytes_ * size_t(pool_.threads()), false);
  const size_t element = cache_format == Cache::f32 ? 4 : 2;
  const size_t tokens = size_t(cache_pages) * kPageSize;
  size_t bytes = 0;
  for (size_t i = 0; i + 2 < layers.size(); i += 3) bytes += tokens * size_t(layers[i]) * size_t(layers[i + 1] + layers[i + 2]) * element;
  cache_memory_ = Memory(bytes, false);
  if (!arena_.data() || !scratch_.data() || !cache_memory_.data()) return false;
  uint8_t* at = cache_memory_.data();
  layers_.clear();
  for (size_t i = 0; i + 2 < layers.size(); i += 3) {
    const size_t keys = tokens * size_t(layers[i]) * size_t(layers[i + 1]) * element, values = tokens * size_t(layers[i]) * size_t(layers[i + 2]) * element;
    layers_.push_back({at, at + keys, layers[i], layers[i + 1], layers[i + 2]});
    at += keys + values;
  }
  cache_.format = cache_format;
  cache_.pages = cache_pages;
  cache_.layers = layers_.data();
  cache_.layer_count = int(layers_.size());
  return true;
}

bool Model::resolve(const Operand& operand, const int32_t symbols[4], const std::vector<Binding>& inputs, const std::vector<Binding>& outputs, Array& array) const {
  array = Array();
  if (operand.space == kNothing) return true;
  array.rank = operand.rank;
  int64_t count = 1;
  for (int d = 0; d < operand.rank; ++d) {
    int64_t n = operand.dim[d][0];
    for (int s = 0; s < 4; ++s) n += int64_t(operand.dim[d][s + 1]) * symbols[s];
    if (n < 0 || (n > 0 && count > (int64_t(1) << 40) / n)) return false;
    array.dim[d] = n;
    count *= n;
  }
  const size_t index = size_t(operand.index);
  switch (operand.space) {
    case kArena: {
      const size_t offset = size_t(operand.offset) * 4;
      if (offset + size_t(count) * 4 > arena_.bytes()) return false;
      array.data = arena_.data() + offset;
      return true;
    }
    case kMatrix:
      if (index >= matrices_.size()) return false;
      array.matrix = &matrices_[index].matrix;
      return true;
    case kVector:
      if (index >= vectors_.size() || count > vector_counts_[index]) return false;
      array.data = vectors_[index].get();
      return true;
    default: {
      const auto& bound = operand.space == kInput ? inputs : outputs;
      if (index >= bound.size() || count != bound[index].count) return false;
      array.data = bound[index].data;
      return true;
    }
  }
}

Outcome Model::run(int program_index, const int32_t symbols[4], const std::vector<Binding>& inputs, const std::vector<Binding>& outputs, const std::atomic<int32_t>* cancel) {
  if (program_index < 0 || size_t(program_index) >= programs_.size()) return {Outcome::bad_binding, 0, 0, 0, 0};
  const Program& program = programs_[size_t(program_index)];
  size_t array_count = 0;
  for (const auto& step : program) array_count += step.operands.size();
  std::vector<Array> arrays(array_count);
  std::vector<Step> steps(program.size());
  const auto states = std::make_unique<StepState[]>(program.size());
  size_t at = 0;
  for (size_t i = 0; i < program.size(); ++i) {
    const ProgramStep& from = program[i];
    states[i].next = states[i].fault = states[i].detail = states[i].stop = 0;
    steps[i] = {from.kernel, int(from.operands.size()), int(from.integers.size()), int(from.numbers.size()), &arrays[at], from.integers.data(), from.numbers.data(),
                &cache_, &states[i].next, &states[i].fault, &states[i].detail, nullptr, scratch_bytes_};
    for (const auto& operand : from.operands)
      if (!resolve(operand, symbols, inputs, outputs, arrays[at++])) return {Outcome::bad_binding, int(i), 0, from.kernel, 0};
  }
  Outcome outcome;
  pool_.run([&](int thread) {
    uint8_t* scratch = scratch_.data() + scratch_bytes_ * size_t(thread);
    for (size_t i = 0; i < steps.size(); ++i) {
      Step step = steps[i];
      step.scratch = scratch;
      set_.kernels[step.kernel](step, thread, pool_.threads());
      // Thread 0 decides for all, in a place of its own for each step, so that nobody is left waiting.
      if (thread == 0 && cancel && cancel->load(std::memory_order_relaxed)) states[i].stop = 1;
      pool_.barrier();
      const int fault = states[i].fault.load(std::memory_order_relaxed);
      if (fault == kNoFault && states[i].stop.load(std::memory_order_relaxed) == 0) continue;
      if (thread == 0) outcome = {fault != kNoFault ? Outcome::fault : Outcome::cancelled, int(i), fault, step.kernel, states[i].detail.load(std::memory_order_relaxed)};
      return;
    }
  });
  return outcome;
}

}  // namespace frugal
