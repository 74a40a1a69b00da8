// Model: programs, memory and runs.
#include <algorithm>

#include "ahead.h"
#include "check.h"
#include "model.h"

namespace frugal {

int Model::add_program(const int32_t* words, size_t count) {
  Program program;
  if (!parse_program(words, count, set_.count, program)) return -1;
  programs_.push_back(std::move(program));
  return int(programs_.size()) - 1;
}

// The product of sizes that a caller gave; false where one is negative or the product has more than 2^56.
static bool multiply(std::initializer_list<int64_t> sizes, uint64_t& product) {
  product = 1;
  for (const int64_t size : sizes) {
    if (size < 0 || (size > 0 && product > (uint64_t(1) << 56) / uint64_t(size))) return false;
    product *= uint64_t(size);
  }
  return true;
}

bool Model::allocate(uint64_t arena_bytes, uint64_t scratch_bytes, int cache_format, const std::vector<int32_t>& layers) {
  uint64_t scratch = 0, cache = 0;
  if (arena_bytes >> 56 || scratch_bytes >= SIZE_MAX - 127) return false;
  scratch_bytes_ = (size_t(scratch_bytes) + 127) / 64 * 64;
  if (!multiply({int64_t(scratch_bytes_), pool_.threads()}, scratch)) return false;
  for (size_t i = 0; i + 3 < layers.size(); i += 4) {
    uint64_t keys = 0, values = 0;
    if (layers[i + 1] < 0 || layers[i + 2] < 0) return false;
    if (!multiply({layers[i + 3], layers[i], Cache::key_bytes(cache_format, layers[i + 1])}, keys)) return false;
    if (!multiply({layers[i + 3], layers[i], Cache::value_bytes(cache_format, layers[i + 2])}, values)) return false;
    cache += keys + values;
  }
  arena_ = Memory(arena_bytes + 64, true);
  scratch_ = Memory(scratch, false);
  cache_memory_ = Memory(cache, false);
  if (!arena_.data() || !scratch_.data() || !cache_memory_.data()) return false;
  uint8_t* at = cache_memory_.data();
  layers_.clear();
  for (size_t i = 0; i + 3 < layers.size(); i += 4) {
    const size_t pages = size_t(layers[i + 3]) * size_t(layers[i]);
    const size_t keys = pages * size_t(Cache::key_bytes(cache_format, layers[i + 1])),
                 values = pages * size_t(Cache::value_bytes(cache_format, layers[i + 2]));
    layers_.push_back({at, at + keys, layers[i], layers[i + 1], layers[i + 2], layers[i + 3]});
    at += keys + values;
  }
  cache_.format = cache_format;
  cache_.layers = layers_.data();
  cache_.layer_count = int(layers_.size());
  return true;
}

// Sizes of operands stay far from where their products overflow.
constexpr int64_t kMostElements = int64_t(1) << 40;

bool Model::resolve(const Operand& operand, const int32_t symbols[4], const std::vector<Binding>& inputs,
                    const std::vector<Binding>& outputs, Array& array) const {
  array = Array();
  if (operand.space == kNothing) return true;
  array.rank = operand.rank;
  // Of all sizes but zeros, whose products kernels form too; `count` is 0 where one is.
  int64_t most = 1, count = 1;
  for (int d = 0; d < operand.rank; ++d) {
    int64_t n = operand.dim[d][0];
    for (int s = 0; s < 4; ++s) {
      n += int64_t(operand.dim[d][s + 1]) * symbols[s];
      if (n > kMostElements || n < -kMostElements) return false;
    }
    if (n < 0 || (n > 0 && most > kMostElements / n)) return false;
    array.dim[d] = n;
    most *= n > 0 ? n : 1;
    count *= n;
  }
  const size_t index = size_t(operand.index);
  switch (operand.space) {
    case kArena: {
      const uint64_t offset = uint64_t(operand.offset) * 4;
      if (offset + uint64_t(count) * 4 > arena_.bytes()) return false;
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

// Less work than sharing it costs: no matrix, and few numbers in all operands together (a barrier is worth about 4,000 of them).
static bool is_small(const Step& step) {
  int64_t count = 0;
  for (int a = 0; a < step.array_count; ++a) {
    if (step.arrays[a].matrix && step.kernel != kKernel_gather) return false;
    if (step.arrays[a].data) count += step.arrays[a].size();
  }
  return count <= 8192 && step.kernel != kKernel_cache_attend;
}

Outcome Model::run(int program_index, const int32_t symbols[4], const std::vector<Binding>& inputs, const std::vector<Binding>& outputs,
                   const std::atomic<int32_t>* cancel) {
  if (program_index < 0 || size_t(program_index) >= programs_.size()) return {Outcome::bad_binding, 0, 0, 0, 0};
  const Program& program = programs_[size_t(program_index)];
  size_t array_count = 0;
  for (const auto& step : program) array_count += step.operands.size();
  std::vector<Array> arrays(array_count);
  std::vector<Step> steps(program.size());
  const auto states = std::make_unique<StepState[]>(program.size());
  std::vector<uint8_t> small(program.size());
  const auto reads_much = [](const ProgramStep& step) { return step.kernel == kKernel_linear || step.kernel == kKernel_coarse_linear; };
  size_t readers = 0;
  for (const auto& step : program) readers += reads_much(step);
  std::vector<Claim> claims(readers * size_t(pool_.threads()));
  readers = 0;
  size_t at = 0;
  for (size_t i = 0; i < program.size(); ++i) {
    const ProgramStep& from = program[i];
    states[i].next = states[i].fault = states[i].detail = states[i].stop = states[i].ready = 0;
    states[i].failed = -1;
    steps[i] = {from.kernel,
                int(from.operands.size()),
                int(from.integers.size()),
                int(from.numbers.size()),
                arrays.data() + at,
                from.integers.data(),
                from.numbers.data(),
                &cache_,
                &states[i].next,
                nullptr,
                &states[i].fault,
                &states[i].detail,
                nullptr,
                scratch_bytes_};
    for (const auto& operand : from.operands)
      if (!resolve(operand, symbols, inputs, outputs, arrays[at++])) return {Outcome::bad_binding, int(i), 0, from.kernel, 0};
    if (!fits_kernel(steps[i])) return {Outcome::bad_binding, int(i), 0, from.kernel, 0};
    small[i] = is_small(steps[i]);
    if (reads_much(from)) steps[i].claims = &claims[readers++ * size_t(pool_.threads())];
  }
  Outcome outcome;
  pool_.run([&](int thread) {
    uint8_t* scratch = scratch_.data() + scratch_bytes_ * size_t(thread);
    for (size_t i = 0; i < steps.size(); ++i) {
      // Runs of small steps are thread 0's alone, with one barrier behind the last of them.
      size_t last = i;
      if (small[i]) {
        while (last + 1 < steps.size() && small[last + 1]) ++last;
        // Who has nothing to do meanwhile brings the next weights nearer; thread 0 only starts its own on the way.
        if (last + 1 < steps.size() && steps[last + 1].kernel == kKernel_linear)
          read_ahead(steps[last + 1], thread, pool_.threads(), thread == 0 ? 4096 : 192 << 10, states[last].ready);
      }
      for (; i <= last; ++i) {
        if (small[i] && thread != 0) continue;
        Step step = steps[i];
        step.scratch = scratch;
        set_.kernels[step.kernel](step, small[i] ? 0 : thread, small[i] ? 1 : pool_.threads());
        if (small[i] && states[i].fault.load(std::memory_order_relaxed) != kNoFault) {
          states[last].failed = int32_t(i);
          break;  // what follows trusts what this step checks
        }
      }
      i = last;
      if (thread == 0) states[i].ready.store(1, std::memory_order_relaxed);
      // Thread 0 decides for all, in a place of its own for each barrier, so that nobody is left waiting.
      if (thread == 0 && cancel && cancel->load(std::memory_order_relaxed)) states[i].stop = 1;
      pool_.barrier();
      const int32_t failed = small[i] ? states[i].failed.load(std::memory_order_relaxed)
                             : states[i].fault.load(std::memory_order_relaxed) != kNoFault ? int32_t(i)
                                                                                           : -1;
      if (failed < 0 && states[i].stop.load(std::memory_order_relaxed) == 0) continue;
      const size_t at = failed < 0 ? i : size_t(failed);
      if (thread == 0)
        outcome = {failed < 0 ? Outcome::cancelled : Outcome::fault, int(at), states[at].fault.load(std::memory_order_relaxed),
                   steps[at].kernel, states[at].detail.load(std::memory_order_relaxed)};
      return;
    }
  });
  return outcome;
}

}  // namespace frugal
