#include "trial.h"

#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define FRUGAL_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FRUGAL_ADDRESS_SANITIZER 1
#endif
#endif
#if defined(FRUGAL_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#endif

namespace frugal::test {

static constexpr uint32_t kGuardWord = 0xfeedbeef;

Fenced::Fenced(const void* elements, int64_t count) : count_(count), words_(new uint32_t[size_t(count + 2 * kGuard)]) {
  for (int64_t i = 0; i < count + 2 * kGuard; ++i) words_[i] = i < kGuard || i >= kGuard + count ? kGuardWord : kUnwritten;
  if (elements) memcpy(data(), elements, size_t(count) * 4);
  poison(true);
}
Fenced::~Fenced() { check_guards(), poison(false); }
void Fenced::poison([[maybe_unused]] bool on) const {
#if defined(FRUGAL_ADDRESS_SANITIZER)
  for (uint32_t* guard : {words_.get(), words_.get() + kGuard + count_})
    if (on) __asan_poison_memory_region(guard, kGuard * 4);
    else __asan_unpoison_memory_region(guard, kGuard * 4);
#endif
}
void Fenced::check_guards() const {
  poison(false);
  int64_t broken = 0;
  for (int64_t i = 0; i < kGuard; ++i) broken += (words_[i] != kGuardWord) + (words_[kGuard + count_ + i] != kGuardWord);
  poison(true);
  CHECK(broken == 0, "%lld guard words around %lld elements were overwritten", whole(broken), whole(count_));
}

Place Trial::matrix(int type, int64_t rows, int64_t inputs, const std::vector<uint8_t>& stored, int64_t experts) {
  const int index = model_.add_matrix(type, rows, inputs, experts);
  CHECK(index >= 0, "type %d, %lld rows of %lld inputs: refused", type, whole(rows), whole(inputs));
  stored_.push_back(stored);
  sources_.push_back({index, -1, stored_.back().data(), 0, rows});
  return {kMatrix, index, 0, {}};
}
Place Trial::vector(const std::vector<float>& values) {
  return {kVector, model_.add_vector(values.data(), int64_t(values.size())), 0, {int64_t(values.size())}};
}
Place Trial::output(std::vector<int64_t> dims) {
  int64_t count = 1;
  for (const int64_t dim : dims) count *= dim;
  outputs_.push_back(std::make_unique<Fenced>(nullptr, count));
  return {kOutput, int32_t(outputs_.size()) - 1, 0, std::move(dims)};
}
Place Trial::arena(int64_t count, std::vector<int64_t> dims) {
  const int32_t offset = arena_;
  arena_ += int32_t((count + 31) / 16 * 16);
  return {kArena, 0, offset, std::move(dims)};
}

void Trial::step(int kernel, std::initializer_list<Place> places, std::initializer_list<int32_t> integers,
                 const std::vector<float>& numbers) {
  step(kernel, std::vector<Place>(places), std::vector<int32_t>(integers), numbers);
}
void Trial::step(int kernel, const std::vector<Place>& places, const std::vector<int32_t>& integers, const std::vector<float>& numbers) {
  words.insert(words.end(), {kernel, int32_t(places.size()), int32_t(integers.size()), int32_t(numbers.size())});
  for (const Place& place : places) {
    words.insert(words.end(), {place.space, place.index, place.offset, int32_t(place.dims.size())});
    for (const int64_t dim : place.dims) words.insert(words.end(), {int32_t(dim), 0, 0, 0, 0});
  }
  words.insert(words.end(), integers.begin(), integers.end());
  for (const float number : numbers) {
    int32_t bits;
    memcpy(&bits, &number, 4);
    words.push_back(bits);
  }
}

bool Trial::load() {
  std::atomic<int64_t> done{0};
  const std::string problem = model_.fill({}, sources_, done, nullptr);
  CHECK(problem.empty(), "fill: %s", problem.c_str());
  program_ = model_.add_program(words.data(), words.size());
  CHECK(program_ >= 0, "a program of %zu words was refused", words.size());
  const bool allocated = model_.allocate(size_t(arena_) * 4, scratch_, cache_format_, layers_);
  CHECK(allocated, "no memory for an arena of %d elements", arena_);
  return problem.empty() && program_ >= 0 && allocated;
}

Outcome Trial::run_program(Model& model, int program) {
  std::vector<Binding> inputs, outputs;
  for (const auto& x : inputs_) inputs.push_back({x->data(), x->count()});
  for (const auto& y : outputs_) outputs.push_back({y->data(), y->count()});
  const int32_t symbols[4] = {0, 0, 0, 0};
  return model.run(program, symbols, inputs, outputs, nullptr);
}
Outcome Trial::run() {
  if (program_ < 0 && !load()) return {Outcome::bad_binding, -1, 0, 0, 0};
  return run_program(model_, program_);
}
static void expect_done(const Outcome& outcome) {
  CHECK(outcome.kind == Outcome::done, "step %d (kernel %d) ended with outcome %d, fault %d", outcome.step, outcome.kernel,
        int(outcome.kind), outcome.fault_code);
}
void Trial::must_run() { expect_done(run()); }
void Trial::run_with(Model& model) { expect_done(run_program(model, model.add_program(words.data(), words.size()))); }

int64_t first_difference(const float* a, const float* b, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    if (memcmp(a + i, b + i, 4) != 0) return i;
  return -1;
}

}  // namespace frugal::test
