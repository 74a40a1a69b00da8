// Programs as words: whatever they say, they are taken, or refused, and never believed.
#include "../runtime/program.h"

#include <math.h>
#include <string.h>

#include "random.h"
#include "trial.h"

namespace frugal::test {

constexpr int kKernels = 35;

// A small program of every part that words have.
static std::vector<int32_t> sample(const KernelSet& set) {
  Trial trial(set);
  const Place x = trial.input(std::vector<float>(64, 1), {2, 32}), y = trial.arena(64, {2, 32}), z = trial.output({2, 32});
  trial.step(kKernel_unary, {x, y}, {0}, {2, 1});
  trial.step(kKernel_rms_norm, {y, trial.vector(std::vector<float>(32, 1)), z}, {1}, {1e-6f});
  trial.step(kKernel_check_finite, {z});
  return trial.words;
}
static bool parses(const std::vector<int32_t>& words, Program& program) {
  // A copy of exactly this length, so that the sanitizer sees a word read behind them.
  const Fenced copy(words.data(), int64_t(words.size()));
  return parse_program(static_cast<const int32_t*>(copy.data()), words.size(), kKernels, program);
}

TEST(program_words) {
  const auto words = sample(*choose_kernels("portable"));
  Program program;
  CHECK(parses(words, program) && program.size() == 3, "%zu steps", program.size());
  CHECK(program[1].kernel == kKernel_rms_norm && program[1].operands.size() == 3 && program[1].numbers[0] == 1e-6f &&
            program[1].operands[0].dim[1][0] == 32,
        "step 1 is kernel %d", program[1].kernel);
  int whole_programs = 0;
  for (size_t length = 0; length < words.size(); ++length) {
    Program part;
    whole_programs += parses({words.begin(), words.begin() + int64_t(length)}, part);
  }
  CHECK(whole_programs == 3, "%d of the beginnings parse; those after 0, 1 and 2 steps should", whole_programs);
}

TEST(program_words_at_random) {
  Random random(1);
  const auto words = sample(*choose_kernels("portable"));
  const int32_t extremes[] = {INT32_MIN, -1, 0, 1, 2, 5, kKernels - 1, kKernels, 1 << 16, INT32_MAX};
  int taken = 0;
  for (int i = 0; i < 60000; ++i) {
    std::vector<int32_t> changed = words;
    if (i % 3 == 0) {
      changed.resize(size_t(random.below(40)));
      for (auto& word : changed) word = random.below(4) ? random.below(6) : int32_t(random.bits());
    }
    for (int n = random.below(4); n > 0 && !changed.empty(); --n)
      changed[size_t(random.below(int(changed.size())))] = random.below(2) ? extremes[random.below(10)] : int32_t(random.bits());
    Program program;
    if (!parses(changed, program)) continue;
    ++taken;
    size_t count = 0;
    for (const ProgramStep& step : program) {
      count += 4 + step.integers.size() + step.numbers.size();
      for (const Operand& operand : step.operands) count += 4 + 5 * size_t(operand.rank);
      CHECK(step.kernel >= 0 && step.kernel < kKernels, "kernel %d", step.kernel);
    }
    CHECK(count == changed.size(), "%zu words became %zu", changed.size(), count);
  }
  CHECK(taken > 1000, "only %d programs were taken", taken);
}

// Runs of changed programs end: done, at a fault, or refused. Memory is guarded by fences and the sanitizer.
KERNEL_TEST(program_runs_at_random) {
  Random random(2);
  const auto words = sample(set);
  const int32_t extremes[] = {INT32_MIN, -1, 0, 1, 2, 3, 31, 33, 64, INT32_MAX};
  int done = 0;
  for (int i = 0; i < 3000; ++i) {
    Trial trial(set);
    trial.input(std::vector<float>(64, 1), {}), trial.arena(64, {}), trial.output({64}), trial.vector(std::vector<float>(32, 1));
    trial.words = words;
    for (int n = 1 + random.below(3); n > 0; --n) trial.words[size_t(random.below(int(words.size())))] = extremes[random.below(10)];
    Program program;
    if (!parses(trial.words, program)) continue;
    done += trial.run().kind == Outcome::done;
  }
  CHECK(done > 100, "only %d runs succeeded", done);
}

// What follows a step that found a fault does not run: it may trust what that step checks. Small steps run one behind the other.
KERNEL_TEST(program_ends_at_a_fault) {
  for (const int threads : kThreadCounts)
    for (const int64_t rows : {2, 20000}) {
      describe(print("%s, %lld rows, %d threads", set.name, whole(rows), threads));
      std::vector<int32_t> ids(size_t(rows), 0);
      ids.back() = 1 << 20;
      Trial trial(set, threads);
      const Place x = trial.input(std::vector<float>(8, 1), {2, 4}), gathered = trial.output({rows, 4}), before = trial.output({2, 4}),
                  behind = trial.output({2, 4});
      trial.step(kKernel_copy, {x, before});
      trial.step(kKernel_gather, {x, trial.input(ids, {rows}), gathered}, {-1});
      trial.step(kKernel_copy, {x, behind});
      const Outcome outcome = trial.run();
      CHECK(outcome.kind == Outcome::fault && outcome.step == 1 && outcome.kernel == kKernel_gather && outcome.detail == 1 << 20,
            "outcome %d at step %d (kernel %d), %d", int(outcome.kind), outcome.step, outcome.kernel, outcome.detail);
      CHECK(trial.floats(before)[7] == 1 && trial.words_of(behind)[0] == kUnwritten, "step 0 gave %g, step 2 %g", trial.floats(before)[7],
            trial.floats(behind)[0]);
    }
}

// A binding has exactly as many elements as the program says, whatever the kernel would be content with.
KERNEL_TEST(program_binds_exactly) {
  for (const int64_t width : {7, 8, 9}) {
    Trial trial(set);
    trial.step(kKernel_check_finite, {shaped(trial.input(std::vector<float>(8, 1), {8}), {width})});
    CHECK((trial.run().kind == Outcome::done) == (width == 8), "%lld of 8 elements", whole(width));
  }
  for (const int64_t width : {96, 97}) {  // 64 elements, 16 between places, 16 behind the arena
    Trial trial(set);
    trial.step(kKernel_check_finite, {trial.arena(64, {width})});
    CHECK((trial.run().kind == Outcome::done) == (width == 96), "%lld elements in an arena of 96", whole(width));
  }
}

struct Broken {
  const char* what;
  Place place;
};

KERNEL_TEST(program_refuses_operands) {
  const std::vector<Broken> all = {
      {"nothing", nothing()},
      {"an input that is not bound", {kInput, 9, 0, {4, 8}}},
      {"an output that is not bound", {kOutput, 2, 0, {4, 8}}},
      {"an input of another size", {kInput, 0, 0, {4, 9}}},
      {"fewer than the input has", {kInput, 0, 0, {4, 7}}},
      {"a vector that does not exist", {kVector, 3, 0, {4, 8}}},
      {"more than the vector has", {kVector, 0, 0, {4, 9}}},
      {"a matrix for numbers", {kMatrix, 0, 0, {4, 8}}},
      {"a matrix that does not exist", {kMatrix, 1, 0, {4, 8}}},
      {"more than the arena has", {kArena, 0, 0, {1000, 8}}},
      {"beyond the arena", {kArena, 0, 1 << 20, {4, 8}}},
      {"the far end of the arena", {kArena, 0, INT32_MAX, {4, 8}}},
      {"a negative size", {kArena, 0, 0, {-4, 8}}},
      {"two negative sizes", {kArena, 0, 0, {-4, -8}}},
      {"sizes whose product overflows", {kArena, 0, 0, {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX}}},
      {"nothing of sizes whose product overflows", {kArena, 0, 0, {0, INT32_MAX, INT32_MAX, INT32_MAX}}},
      {"a product of 2^64", {kArena, 0, 0, {1 << 16, 1 << 16, 1 << 16, 1 << 16}}},
  };
  for (const Broken& broken : all) {
    describe(print("%s, %s", set.name, broken.what));
    Random random(1);
    Trial trial(set);
    const Place x = trial.input(random.normals(32), {4, 8}), y = trial.output({4, 8});
    trial.vector(random.normals(32)), trial.matrix(0, 4, 8, std::vector<uint8_t>(128)), trial.arena(64, {});
    trial.step(kKernel_copy, {x, y});
    trial.step(kKernel_unary, {broken.place, y}, {0}, {1, 0});
    const Outcome outcome = trial.run();
    CHECK(outcome.kind == Outcome::bad_binding && outcome.step == 1, "outcome %d at step %d", int(outcome.kind), outcome.step);
    // Refused before anything ran.
    CHECK(trial.words_of(y)[0] == kUnwritten, "step 0 ran: %g", trial.floats(y)[0]);
  }
}

// Too few and too many operands, integers and numbers, of every kernel.
KERNEL_TEST(program_refuses_counts) {
  for (int kernel = 0; kernel < set.count; ++kernel)
    for (int arrays = 0; arrays < 9; ++arrays)
      for (const int extra : {0, 3}) {
        describe(print("%s, kernel %d, %d arrays, %d numbers", set.name, kernel, arrays, extra));
        Trial trial(set);
        const std::vector<Place> places(size_t(arrays), trial.input(std::vector<int32_t>(6, 0), {2, 3}));
        // One operand in all places: results would lie on what they are made of.
        trial.step(kernel, places, std::vector<int32_t>(size_t(extra), 0), std::vector<float>(size_t(extra), 1));
        const Outcome outcome = trial.run();
        if (extra > 0 || arrays > 6) CHECK(outcome.kind == Outcome::bad_binding, "outcome %d", int(outcome.kind));
      }
}

KERNEL_TEST(program_sizes_by_symbols) {
  Random random(1);
  Model model(set, 2);
  const auto x = random.normals(7 * 4), w = random.normals(4);
  CHECK(model.add_vector(w.data(), 4) == 0, "vector");
  // y[T][4] = x[T][4] * w[4] in the arena; out[2T + 3 - S][4] is a copy where that is T rows.
  const std::vector<int32_t> words = {kKernel_binary,
                                      3,
                                      1,
                                      0,
                                      kInput,
                                      0,
                                      0,
                                      2,
                                      0,
                                      1,
                                      0,
                                      0,
                                      0,
                                      4,
                                      0,
                                      0,
                                      0,
                                      0,
                                      kVector,
                                      0,
                                      0,
                                      1,
                                      4,
                                      0,
                                      0,
                                      0,
                                      0,
                                      kArena,
                                      0,
                                      0,
                                      2,
                                      0,
                                      1,
                                      0,
                                      0,
                                      0,
                                      4,
                                      0,
                                      0,
                                      0,
                                      0,
                                      2,
                                      kKernel_copy,
                                      2,
                                      0,
                                      0,
                                      kArena,
                                      0,
                                      0,
                                      2,
                                      0,
                                      1,
                                      0,
                                      0,
                                      0,
                                      4,
                                      0,
                                      0,
                                      0,
                                      0,
                                      kOutput,
                                      0,
                                      0,
                                      2,
                                      3,
                                      2,
                                      -1,
                                      0,
                                      0,
                                      4,
                                      0,
                                      0,
                                      0,
                                      0};
  const int program = model.add_program(words.data(), words.size());
  CHECK(program == 0, "program %d", program);
  CHECK(model.allocate(7 * 4 * 4, 64, Cache::f16, {}), "no memory");
  const auto run = [&](int32_t t, int32_t s, int64_t rows) {
    const Fenced from(x.data(), 4 * int64_t(t < 0 || t > 7 ? 0 : t)), to(nullptr, 4 * rows);
    const int32_t symbols[4] = {t, s, 0, 0};
    const Outcome outcome = model.run(program, symbols, {{from.data(), from.count()}}, {{to.data(), to.count()}}, nullptr);
    for (int64_t i = 0; outcome.kind == Outcome::done && i < 4 * rows; ++i)
      CHECK(static_cast<float*>(to.data())[i] == x[size_t(i)] * w[size_t(i % 4)], "T %d, element %lld", t, whole(i));
    return outcome.kind;
  };
  for (int t = 0; t <= 7; ++t) CHECK(run(t, t + 3, t) == Outcome::done, "T %d", t);
  CHECK(run(3, 7, 2) == Outcome::bad_binding, "the copy of 3 rows to 2 was taken");
  CHECK(run(-1, 0, 1) == Outcome::bad_binding, "a negative number of rows was taken");
  CHECK(run(INT32_MAX, INT32_MIN, 1) == Outcome::bad_binding, "huge symbols were taken");
}

KERNEL_TEST(program_runs_unprepared) {
  Model model(set, 2);
  const auto words = sample(set);
  const int32_t symbols[4] = {0, 0, 0, 0};
  const Fenced x(nullptr, 64), y(nullptr, 64);
  const std::vector<Binding> in = {{x.data(), 64}}, out = {{y.data(), 64}};
  for (const int program : {-1, 0, 1, INT32_MAX})
    CHECK(model.run(program, symbols, in, out, nullptr).kind == Outcome::bad_binding, "program %d does not exist", program);
  CHECK(model.add_program(words.data(), words.size()) == 0, "refused");
  CHECK(model.run(0, symbols, in, out, nullptr).kind == Outcome::bad_binding, "ran without an arena");
  CHECK(model.add_program(words.data(), words.size() - 1) == -1, "half a step was taken");
  const int32_t unknown[4] = {set.count, 0, 0, 0};
  CHECK(model.add_program(unknown, 4) == -1, "an unknown kernel was taken");
}

// A flag that is set stops a run; the model runs again afterwards.
KERNEL_TEST(program_cancelled) {
  for (const int threads : kThreadCounts) {
    Trial trial(set, threads);
    const Place y = trial.output({64});
    trial.step(kKernel_unary, {trial.input(std::vector<float>(64, 3), {64}), y}, {0}, {2, 0});
    trial.must_run();
    const std::atomic<int32_t> stop{1};
    const int32_t symbols[4] = {0, 0, 0, 0};
    const Outcome outcome =
        trial.model().run(0, symbols, {{trial.bound({kInput, 0, 0, {}}).data(), 64}}, {{trial.bound(y).data(), 64}}, &stop);
    CHECK(outcome.kind == Outcome::cancelled, "outcome %d", int(outcome.kind));
    trial.must_run();
  }
}

}  // namespace frugal::test
