// Filling of matrices: from memory and from files, in parts, by several threads; and what is refused.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stored.h"
#include "trial.h"

namespace frugal::test {

// A file that is gone when the test is.
struct TemporaryFile {
  std::string path;
  explicit TemporaryFile(const std::vector<uint8_t>& bytes) {
    std::string name = std::string(getenv("TMPDIR") ? getenv("TMPDIR") : P_tmpdir) + "/frugal-test-XXXXXX";
    const int file = mkstemp(name.data());
    path = name;
    const ssize_t written = write(file, bytes.data(), bytes.size());
    CHECK(file >= 0 && written == ssize_t(bytes.size()), "%s can't be written", name.c_str());
    close(file);
  }
  ~TemporaryFile() { unlink(path.c_str()); }
};

// Row `row` of matrix 0, as gather reads it.
static std::vector<float> read_row(Model& model, int program, int32_t row, int64_t inputs) {
  const Fenced id(&row, 1), y(nullptr, inputs);
  const int32_t symbols[4] = {0, 0, 0, 0};
  const Outcome outcome = model.run(program, symbols, {{id.data(), 1}}, {{y.data(), inputs}}, nullptr);
  CHECK(outcome.kind == Outcome::done, "row %d: outcome %d", row, int(outcome.kind));
  const float* from = static_cast<const float*>(y.data());
  return {from, from + inputs};
}
static int gather_program(Model& model, int32_t rows, int64_t inputs) {
  const int32_t words[] = {kKernel_gather,  3, 1, 0, kMatrix, 0,   0, 0, kInput, 0, 0, 1, 1, 0, 0, 0, 0, kOutput, 0, 0, 2, 1, 0, 0, 0, 0,
                           int32_t(inputs), 0, 0, 0, 0,       rows};
  return model.add_program(words, sizeof words / 4);
}

KERNEL_TEST(weights_in_parts) {
  for (const Format& format : formats())
    for (const int threads : {1, 3}) {
      describe(print("%s %s, %d threads", set.name, format.name, threads));
      Random random(format.type);
      // Several pieces of work (256 KB of groups each) for one format, a single one for the others.
      const int64_t inputs = 2 * format.least(), rows = format.type == 8 ? 9000 : 71;
      const size_t row_bytes = size_t(format.row_bytes(inputs));
      const auto stored = random_rows(format, rows, inputs, random);
      std::vector<uint8_t> padded(13 + stored.size());  // the file's rows begin at an odd place
      memcpy(padded.data() + 13, stored.data(), stored.size());
      const TemporaryFile file(padded);
      Model whole(set, 1), parts(set, threads);
      std::atomic<int64_t> done{0};
      CHECK(whole.add_matrix(format.type, rows, inputs, 1) == 0 && parts.add_matrix(format.type, rows, inputs, 1) == 0, "refused");
      CHECK(whole.fill({}, {{0, -1, stored.data(), 0, rows}}, done, nullptr).empty(), "fill");
      CHECK(done == int64_t(stored.size()), "%lld bytes of %zu", static_cast<long long>(done), stored.size());
      const std::vector<RowSource> sources = {{0, 0, nullptr, 13, 10},
                                              {0, -1, stored.data(), 10 * row_bytes, 5},
                                              {0, 0, nullptr, 13 + 15 * row_bytes, rows - 16},
                                              {0, -1, stored.data() + size_t(rows - 1) * row_bytes, 0, 1}};
      CHECK(parts.fill({file.path}, sources, done, nullptr).empty(), "fill in parts");
      const int a = gather_program(whole, int32_t(rows), inputs), b = gather_program(parts, int32_t(rows), inputs);
      CHECK(whole.allocate(0, 64, Cache::f16, {}) && parts.allocate(0, 64, Cache::f16, {}), "no memory");
      for (int32_t row = 0; row < rows; row += row < 64 || row > rows - 200 ? 1 : 97) {
        const auto one = read_row(whole, a, row, inputs), two = read_row(parts, b, row, inputs);
        CHECK(first_difference(one.data(), two.data(), inputs) < 0, "row %d differs", row);
      }
    }
}

// NaN and infinity, in numbers and in the scales of blocks, are refused with the row they are in; codes may be anything.
KERNEL_TEST(weights_not_finite) {
  for (const Format& format : formats()) {
    describe(print("%s %s", set.name, format.name));
    Random random(format.type);
    const int64_t inputs = 2 * format.least(), rows = 40, row_bytes = format.row_bytes(inputs);
    const auto stored = random_rows(format, rows, inputs, random);
    const std::vector<int> places = format.type == 30 ? std::vector<int>{0} : format.type == 0 ? std::vector<int>{2} : format.halves;
    for (const int place : places)
      for (const uint16_t bad : {0x7fc0, 0x7f80, 0xff80}) {
        auto broken = stored;
        const uint16_t bits = format.type == 0 || format.type == 30 ? bad : uint16_t(bad & 0xfc00);
        memcpy(&broken[size_t(23 * row_bytes + format.bytes + place)], &bits, 2);
        Model model(set, 2);
        std::atomic<int64_t> done{0};
        CHECK(model.add_matrix(0, 1, 32, 1) == 0 && model.add_matrix(format.type, rows, inputs, 1) == 1, "refused");
        const std::vector<uint8_t> zeros(128);
        const std::string problem = model.fill({}, {{1, -1, broken.data(), 0, rows}, {0, -1, zeros.data(), 0, 1}}, done, nullptr);
        CHECK(problem == "not finite 1 23", "%04x at %d: \"%s\"", bits, place, problem.c_str());
      }
  }
}

TEST(weights_refused) {
  const KernelSet& set = *choose_kernels("portable");
  Model model(set, 1);
  struct Shape {
    const char* what;
    int type;
    int64_t rows, inputs, experts;
  };
  for (const Shape& s : {Shape{"an unknown type", 9, 16, 256, 1},
                         {"another unknown type", -1, 16, 256, 1},
                         {"half a block", 2, 16, 48, 1},
                         {"half a block of 256", 12, 16, 128, 1},
                         {"no experts", 0, 16, 32, 0},
                         {"experts that don't divide the rows", 0, 16, 32, 3},
                         {"negative rows", 0, -16, 32, 1},
                         {"negative inputs", 0, 16, -32, 1},
                         {"no inputs", 2, 16, 0, 1},
                         {"more than memory has", 0, int64_t(1) << 40, int64_t(1) << 40, 1},
                         {"rows beyond counting", 0, INT64_MAX, 32, 1},
                         {"inputs beyond counting", 8, 16, INT64_MAX / 32 * 32, 1}})
    CHECK(model.add_matrix(s.type, s.rows, s.inputs, s.experts) == -1, "%s was taken", s.what);
}

TEST(weights_that_cannot_be_read) {
  const KernelSet& set = *choose_kernels("portable");
  const std::vector<uint8_t> rows(64 * 128, 1);
  const TemporaryFile file(rows);
  struct Case {
    const char* what;
    std::vector<std::string> paths;
    std::vector<RowSource> sources;
    bool cancel;
  };
  const std::vector<Case> cases = {
      {"a file that is not there", {"/nonexistent/frugal"}, {{0, 0, nullptr, 0, 64}}, false},
      {"a file that ends early", {file.path}, {{0, 0, nullptr, 1, 64}}, false},
      {"an offset beyond the file", {file.path}, {{0, 0, nullptr, uint64_t(1) << 40, 64}}, false},
      {"a directory", {"."}, {{0, 0, nullptr, 0, 64}}, false},
      {"too few rows", {file.path}, {{0, 0, nullptr, 0, 63}}, false},
      {"too many rows", {file.path}, {{0, 0, nullptr, 0, 64}, {0, 0, nullptr, 0, 1}}, false},
      {"no rows", {}, {}, false},
      {"a flag that is set", {file.path}, {{0, 0, nullptr, 0, 64}}, true},
  };
  for (const Case& c : cases)
    for (const int threads : {1, 3}) {
      Model model(set, threads);
      model.add_matrix(0, 64, 32, 1);
      std::atomic<int64_t> done{0};
      const std::atomic<int32_t> cancel{c.cancel};
      CHECK(!model.fill(c.paths, c.sources, done, &cancel).empty(), "%s was taken", c.what);
    }
}

TEST(weights_take_memory_once) {
  const KernelSet& set = *choose_kernels("portable");
  Model model(set, 1);
  const std::vector<float> numbers(1000, 1);
  CHECK(model.weight_bytes() == 0 && model.cache_bytes() == 0, "%zu bytes before anything", model.weight_bytes());
  model.add_vector(numbers.data(), 1000);
  CHECK(model.weight_bytes() >= 4000 && model.weight_bytes() < 4200, "%zu bytes for 4000", model.weight_bytes());
  CHECK(model.allocate(1 << 20, 64, Cache::f16, {2, 8, 16, 10, 0, 0, 0, 0, 1, 4, 4, 10}), "no memory");
  CHECK(model.cache_bytes() == 10 * 32 * (2 * 24 + 8) * 2, "%zu bytes of cache", model.cache_bytes());
  CHECK(!model.allocate(size_t(1) << 60, 64, Cache::f16, {}), "2^60 bytes were given");
  CHECK(!model.allocate(0, 64, Cache::f16, {1 << 20, 1 << 20, 1 << 20, 1 << 30}), "a cache of 2^80 bytes was given");
}

}  // namespace frugal::test
