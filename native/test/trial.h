// A program written step by step and run as the engine runs one: words, a Model, bindings. What kernels read and write lies between guard
// words (poisoned where the address sanitizer runs), so a byte too far is seen.
#pragma once
#include <initializer_list>
#include <memory>

#include "../runtime/model.h"
#include "check.h"

namespace frugal::test {

// What an output holds before anything is written: a NaN, and an id that is out of every range.
constexpr uint32_t kUnwritten = 0xffc0dead;

// 4-byte elements between guard words.
class Fenced {
 public:
  Fenced(const void* elements, int64_t count);  // kUnwritten where null
  ~Fenced();
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;
  void* data() const { return words_.get() + kGuard; }
  int64_t count() const { return count_; }
  void check_guards() const;

 private:
  static constexpr int64_t kGuard = 64;
  void poison(bool on) const;
  int64_t count_;
  std::unique_ptr<uint32_t[]> words_;
};

// An operand: its words.
struct Place {
  int32_t space = kNothing, index = 0, offset = 0;
  std::vector<int64_t> dims;
};
inline Place nothing() { return {}; }
// The same numbers in another shape.
inline Place shaped(Place place, std::vector<int64_t> dims) {
  place.dims = std::move(dims);
  return place;
}

class Trial {
 public:
  explicit Trial(const KernelSet& set, int threads = 1) : model_(set, threads) {}

  Place matrix(int type, int64_t rows, int64_t inputs, const std::vector<uint8_t>& stored, int64_t experts = 1);
  // A coarse copy of a matrix.
  Place coarse(const Place& matrix) { return {kMatrix, model_.add_coarse(matrix.index), 0, {}}; }
  Place vector(const std::vector<float>& values);
  template <class T> Place input(const std::vector<T>& values, std::vector<int64_t> dims) {
    static_assert(sizeof(T) == 4);
    inputs_.push_back(std::make_unique<Fenced>(values.data(), int64_t(values.size())));
    return {kInput, int32_t(inputs_.size()) - 1, 0, std::move(dims)};
  }
  Place output(std::vector<int64_t> dims);
  // `count` elements of the arena, with a gap behind them.
  Place arena(int64_t count, std::vector<int64_t> dims);
  // Buffers of quantised rows, as an output so that tests can read it.
  Place activations(int64_t rows, int64_t inputs) { return output({(rows * inputs * 15 + 31) / 32}); }
  // `layers`: heads, key size, value size and pages of each.
  void cache(int format, std::vector<int32_t> layers) { cache_format_ = format, layers_ = std::move(layers); }
  // Bytes of scratch a thread has.
  void scratch(size_t bytes) { scratch_ = bytes; }
  void step(int kernel, std::initializer_list<Place> places, std::initializer_list<int32_t> integers = {},
            const std::vector<float>& numbers = {});
  void step(int kernel, const std::vector<Place>& places, const std::vector<int32_t>& integers, const std::vector<float>& numbers);

  // Loads what was given, at the first call, and runs. Failures of loading are recorded as failed checks.
  Outcome run();
  // Runs and records anything but success.
  void must_run();
  // The same in another model, which has its memory and cache already.
  void run_with(Model& model);
  const float* floats(const Place& place) const { return static_cast<const float*>(bound(place).data()); }
  const uint32_t* words_of(const Place& place) const { return static_cast<const uint32_t*>(bound(place).data()); }
  const int32_t* ids(const Place& place) const { return static_cast<const int32_t*>(bound(place).data()); }
  // An output's numbers; inputs may be rewritten between runs.
  std::vector<float> copy(const Place& place) const { return {floats(place), floats(place) + bound(place).count()}; }
  Fenced& bound(const Place& place) const { return *(place.space == kInput ? inputs_ : outputs_)[size_t(place.index)]; }
  Model& model() { return model_; }
  std::vector<int32_t> words;

 private:
  bool load();
  Outcome run_program(Model& model, int program);
  Model model_;
  std::vector<std::unique_ptr<Fenced>> inputs_, outputs_;
  std::vector<std::vector<uint8_t>> stored_;
  std::vector<RowSource> sources_;
  int32_t arena_ = 0;
  size_t scratch_ = size_t(1) << 16;
  int cache_format_ = 0, program_ = -1;
  std::vector<int32_t> layers_;
};

// Threads that every result must be the same with.
constexpr int kThreadCounts[] = {1, 2, 4};
// The first index at which the bits differ, or -1.
int64_t first_difference(const float* a, const float* b, int64_t count);

}  // namespace frugal::test
