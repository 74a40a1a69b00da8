// Programs made from the fuzzer's bytes: steps that mostly fit their kernels, then some words changed; or words as they come. Inputs are any bytes.
// Nothing is promised of the numbers; memory stays whole and the run ends.
#include <memory>

#include "../../runtime/model.h"
#include "bytes.h"

namespace frugal::test {

// Elements that the sanitizer watches on both sides.
struct Buffer {
  std::unique_ptr<int32_t[]> data;
  int64_t count;
};
using Dims = std::vector<int32_t>;

// What the operands of a step are made for.
enum class Content { numbers, small, offsets, positions };

struct Maker {
  Bytes& bytes;
  std::vector<int32_t> words;
  std::vector<Buffer> inputs, outputs;
  int32_t arrays = 0;
  std::vector<int32_t> operands;

  static int64_t count(const Dims& dims) {
    int64_t n = 1;
    for (const int32_t dim : dims) n *= dim;
    return n;
  }
  void operand(int32_t space, int32_t index, int32_t offset, const Dims& dims) {
    operands.insert(operands.end(), {space, index, offset, int32_t(dims.size())});
    for (const int32_t dim : dims) {
      // Now and then a size that depends on T, which is 3.
      const bool symbol = dim >= 3 && bytes.below(8) == 0;
      operands.insert(operands.end(), {symbol ? dim - 3 : dim, symbol, 0, 0, 0});
    }
    ++arrays;
  }
  void nothing() { operand(kNothing, 0, 0, {}); }
  void matrix(int index) { operand(kMatrix, index, 0, {}); }
  void input(const Dims& dims, Content content, int32_t most = 8) {
    if (content == Content::numbers && bytes.below(4) == 0) return operand(kArena, 0, bytes.byte() * 4, dims);
    const int64_t n = count(dims);
    Buffer buffer{std::unique_ptr<int32_t[]>(new int32_t[size_t(n)]), n};
    const bool wild = bytes.below(16) == 0;
    for (int64_t i = 0; i < n; ++i) {
      const float number = float(int8_t(bytes.byte())) / 16;
      int32_t value = 0;
      memcpy(&value, &number, 4);
      if (content == Content::small) value = bytes.below(most > 0 ? most : 1);
      if (content == Content::offsets) value = int32_t(n > 1 ? i * most / (n - 1) : 0);
      if (content == Content::positions) value = int32_t(i);
      buffer.data[size_t(i)] = wild ? bytes.word() : value;
    }
    inputs.push_back(std::move(buffer));
    operand(kInput, int32_t(inputs.size()) - 1, 0, dims);
  }
  void output(const Dims& dims) {
    if (bytes.below(4) == 0) return operand(kArena, 0, 1024 + bytes.byte() * 4, dims);
    outputs.push_back({std::unique_ptr<int32_t[]>(new int32_t[size_t(count(dims))]()), count(dims)});
    operand(kOutput, int32_t(outputs.size()) - 1, 0, dims);
  }
  void end(int kernel, const std::vector<int32_t>& integers = {}, const std::vector<float>& numbers = {}) {
    words.insert(words.end(), {kernel, arrays, int32_t(integers.size()), int32_t(numbers.size())});
    words.insert(words.end(), operands.begin(), operands.end());
    words.insert(words.end(), integers.begin(), integers.end());
    for (const float number : numbers) {
      int32_t bits;
      memcpy(&bits, &number, 4);
      words.push_back(bits);
    }
    arrays = 0;
    operands.clear();
  }

  void step(int kernel);
  void product(int kernel, int32_t rows);
  void cache_step(int kernel, int32_t rows);
  void rows_step(int kernel, int32_t rows);
  void gemm_step(int32_t rows);
  void map_step();
  void training_step(int kernel, int32_t rows);
};

// The matrices of the model below: rows, inputs, type, experts.
static constexpr int32_t kMatrices[][4] = {{5, 7, 0, 1}, {20, 32, 2, 1}, {17, 256, 12, 1}, {33, 64, 8, 1}, {9, 32, 1, 3}, {34, 32, 39, 2}};
static constexpr int32_t kLayers[][3] = {{1, 4, 4}, {2, 8, 5}};

void Maker::product(int kernel, int32_t rows) {
  const int which = bytes.below(6);
  const int32_t outputs_of = kMatrices[which][0], width = kMatrices[which][1], experts = kMatrices[which][3];
  rows %= 12;
  const Dims codes = {rows * ((width + 31) / 32) * 15};
  if (kernel == kKernel_quantize) return input({rows, width}, Content::numbers), output(codes), end(kernel);
  input({rows, width}, Content::numbers), input(codes, Content::numbers), matrix(which);
  if (kernel == kKernel_expert_linear)
    return input({rows, 2}, Content::small, experts), output({rows * 2, outputs_of / experts}), end(kernel, {experts});
  if (bytes.below(2)) matrix(which);
  else nothing();
  output({rows, outputs_of});
  if (bytes.below(2)) input({outputs_of}, Content::numbers);
  else nothing();
  if (bytes.below(2)) input({rows, outputs_of}, Content::numbers);
  else nothing();
  end(kernel, {bytes.below(10) - 1});
}
void Maker::cache_step(int kernel, int32_t rows) {
  const int layer = bytes.below(2);
  const auto [heads, size, value_size] = kLayers[layer];
  const int32_t group = 1 + bytes.below(3), sequences = 1 + bytes.below(2);
  if (kernel == kKernel_cache_write) input({rows, heads * size}, Content::numbers), input({rows, heads * value_size}, Content::numbers);
  else input({rows, heads * group * size}, Content::numbers);
  input({rows}, Content::positions), input({sequences + 1}, Content::offsets, rows), input({sequences}, Content::small, 65),
      input({sequences, 2}, Content::small, 4);
  if (kernel == kKernel_cache_write) return end(kernel, {layer});
  output({rows, heads * group * value_size});
  end(kernel, {layer, heads * group, heads, bytes.below(40), bytes.below(2)}, {0.5f, float(bytes.below(3))});
}
void Maker::rows_step(int kernel, int32_t rows) {
  const int32_t heads = 1 + bytes.below(2), group = 1 + bytes.below(2), size = 1 + bytes.below(9), value_size = 1 + bytes.below(9),
                sequences = 1 + bytes.below(3);
  const Dims pages = {(rows / 32 + sequences) * 32, heads * (size + value_size)};
  if (kernel == kKernel_attention_write) {
    input({rows, heads * size}, Content::numbers), input({rows, heads * value_size}, Content::numbers),
        input({sequences + 1}, Content::offsets, rows), output(pages);
    return end(kernel, {heads});
  }
  input({rows, heads * group * size}, Content::numbers), input({sequences + 1}, Content::offsets, rows), input(pages, Content::numbers),
      output({rows, heads * group * value_size});
  end(kernel, {heads * group, heads, bytes.below(5), bytes.below(2)}, {0.5f, float(bytes.below(3))});
}
void Maker::gemm_step(int32_t rows) {
  const auto numbers = Content::numbers;
  const bool x_turned = bytes.below(2), w_turned = bytes.below(2);
  int32_t inner = bytes.below(40), columns = bytes.below(40);
  const int which = bytes.below(8);
  if (which < 4) inner = kMatrices[which][w_turned ? 0 : 1], columns = kMatrices[which][w_turned ? 1 : 0];
  input(x_turned ? Dims{inner, rows} : Dims{rows, inner}, numbers);
  if (which < 4) matrix(which);
  else input(w_turned ? Dims{inner, columns} : Dims{columns, inner}, numbers);
  output({rows, columns});
  if (bytes.below(2)) input({rows, columns}, numbers);
  else nothing();
  end(kKernel_gemm, {x_turned, w_turned, bytes.below(2)}, {bytes.below(2) ? 1 : -0.5f});
}
// Two or three inputs, spread over up to two results, and any instructions over up to eight registers.
void Maker::map_step() {
  const int32_t inputs = 2 + bytes.below(2), results = 1 + bytes.below(2), registers = inputs + bytes.below(6);
  const Dims y = {bytes.below(5), 1 + bytes.below(3), bytes.below(2) ? bytes.below(40) : 10 * bytes.below(60)};
  for (int32_t i = 0; i < inputs; ++i) {
    Dims x = y;
    for (int32_t& dim : x) dim = bytes.below(4) ? dim : 1;
    input(x, Content::numbers);
  }
  for (int32_t i = 0; i < results; ++i) output(y);
  std::vector<int32_t> integers = {inputs, results, registers};
  const int count = bytes.below(7);
  for (int i = 0; i < count; ++i) {
    integers.push_back(bytes.below(25));
    for (int k = 0; k < 4; ++k) integers.push_back(bytes.below(registers));
  }
  for (int32_t i = 0; i < results; ++i) integers.push_back(bytes.below(registers));
  end(kKernel_map, integers, std::vector<float>(size_t(2 * count), 0.5f));
}
// Kernels with results of which some may not be wanted.
void Maker::training_step(int kernel, int32_t rows) {
  const auto numbers = Content::numbers;
  const auto maybe = [&](const Dims& dims) {
    if (bytes.below(3)) output(dims);
    else nothing();
  };
  if (kernel == kKernel_attention_gradient) {
    const int32_t heads = 1 + bytes.below(2), group = 1 + bytes.below(2), size = 1 + bytes.below(9), value_size = 1 + bytes.below(9),
                  sequences = 1 + bytes.below(3);
    const Dims q = {rows, heads * group * size}, k = {rows, heads * size}, v = {rows, heads * value_size},
               y = {rows, heads * group * value_size};
    input(q, numbers), input(k, numbers), input(v, numbers), input({sequences + 1}, Content::offsets, rows), input(y, numbers);
    maybe(q), maybe(k), maybe(v);
    return end(kernel, {heads * group, heads, bytes.below(5), bytes.below(2)}, {0.5f, float(bytes.below(3))});
  }
  if (kernel == kKernel_rms_norm_gradient || kernel == kKernel_layer_norm_gradient) {
    const bool rms = kernel == kKernel_rms_norm_gradient;
    const int32_t groups = rms ? 1 + bytes.below(3) : 1, width = 1 + bytes.below(40), weights = bytes.below(2) ? width : groups * width;
    const Dims x = {rows, groups * width};
    input(x, numbers), input({rms ? weights : width}, numbers), input(x, numbers), maybe(x), maybe({64, rms ? weights : width});
    return end(kernel, rms ? std::vector<int32_t>{groups} : std::vector<int32_t>{}, {1e-6f});
  }
  const int which = bytes.below(8);
  const int32_t width = which < 4 ? kMatrices[which][1] : 1 + bytes.below(40),
                classes = which < 4 ? kMatrices[which][0] : (1 + bytes.below(9)) * (bytes.below(4) ? 5 : 140);
  if (kernel == kKernel_cross_entropy_errors) {
    input({rows}, Content::small, classes), input({rows, 1}, numbers), maybe({rows, 1}), output({rows, classes});
    return end(kernel);
  }
  const bool of_table = kernel == kKernel_linear_cross_entropy_table, has_seed = of_table || bytes.below(2);
  input({rows, width}, numbers);
  if (which < 4) matrix(which);
  else input({classes, width}, numbers);
  input({rows}, Content::small, classes);
  if (has_seed) input({rows, 1}, numbers);
  else nothing();
  if (of_table) return input({rows}, numbers), output({classes, width}), end(kernel, {classes});
  maybe({rows, 1});
  if (has_seed) maybe({rows, width});
  else nothing();
  maybe({rows});
  end(kernel, {classes});
}
void Maker::step(int kernel) {
  const int32_t rows = bytes.below(40), width = 1 + bytes.below(40), few = 1 + bytes.below(4);
  const Dims block = {rows, width}, cube = {rows, few, width};
  const auto numbers = Content::numbers;
  const int32_t axis = bytes.below(3);
  switch (kernel) {
    case kKernel_quantize:
    case kKernel_linear:
    case kKernel_expert_linear: return product(kernel, rows);
    case kKernel_cache_write:
    case kKernel_cache_attend: return cache_step(kernel, rows);
    case kKernel_attention_write:
    case kKernel_attention: return rows_step(kernel, rows);
    case kKernel_gemm: return gemm_step(rows);
    case kKernel_expert_matmul:
      return input(block, numbers), input({few, 3, width}, numbers), input({rows, 1}, Content::small, few), output({rows, 3}), end(kernel);
    case kKernel_gather: {
      if (bytes.below(2)) return matrix(0), input({rows}, Content::small, 5), output({rows, 7}), end(kernel, {5});
      return input({few, width}, numbers), input({rows}, Content::small, few), output(block), end(kernel, {-1});
    }
    case kKernel_rms_norm:
      return input({rows, width * few}, numbers), input({width}, numbers), output({rows, width * few}), end(kernel, {few}, {1e-6f});
    case kKernel_layer_norm:
      return input(block, numbers), input({width}, numbers), input({width}, numbers), output(block), end(kernel, {}, {1e-6f});
    case kKernel_softmax: return input(cube, numbers), output(cube), end(kernel, {axis});
    case kKernel_binary:
      return input(cube, numbers), input(bytes.below(2) ? Dims{few, 1} : Dims{width}, numbers), output(cube), end(kernel, {bytes.below(7)});
    case kKernel_unary: return input(block, numbers), output(block), end(kernel, {bytes.below(9)}, {2, 1});
    case kKernel_activation: return input(block, numbers), output(block), end(kernel, {bytes.below(10)});
    case kKernel_glu: return input(block, numbers), input(block, numbers), output(block), end(kernel, {bytes.below(10)});
    case kKernel_select: return input(block, numbers), input(block, numbers), input(block, numbers), output(block), end(kernel);
    case kKernel_check_finite: return input(block, numbers), end(kernel);
    case kKernel_rope: {
      const int32_t size = 2 * few + bytes.below(3);
      return input({rows, size * 2}, numbers), input({rows}, Content::small, 100), input({few}, numbers), output({rows, size * 2}),
             end(kernel, {size, bytes.below(2)}, {1});
    }
    case kKernel_slice: return input(cube, numbers), output({rows, few, width - width / 2}), end(kernel, {2, width / 2});
    case kKernel_concat: return input(cube, numbers), input({rows, 2, width}, numbers), output({rows, few + 2, width}), end(kernel, {1});
    case kKernel_transpose: return input(block, numbers), output({width, rows}), end(kernel);
    case kKernel_broadcast: return input({few, 1}, numbers), output({rows, few, width}), end(kernel);
    case kKernel_copy: return input(block, numbers), output(block), end(kernel);
    case kKernel_scatter_add: return input(block, numbers), input({rows}, Content::small, few), output({few, width}), end(kernel);
    case kKernel_sum:
    case kKernel_peak: {
      Dims reduced = cube;
      reduced[size_t(axis)] = 1;
      return input(cube, numbers), output(reduced), end(kernel, {axis});
    }
    case kKernel_argmax: return input(block, numbers), output({rows}), end(kernel);
    case kKernel_pool:
      return input(block, numbers), input({few + 1}, Content::offsets, rows), output({few, width}), end(kernel, {bytes.below(4)});
    case kKernel_cross_entropy: return input(block, numbers), input({rows}, Content::small, width), output({rows, 1}), end(kernel);
    case kKernel_route_ids: return input({rows, few + 2}, numbers), output({rows, few}), end(kernel);
    case kKernel_route_weights:
      return input({rows, few + 2}, numbers), input({rows, few}, Content::small, few + 2), output({rows, few}),
             end(kernel, {bytes.below(2)});
    case kKernel_combine: return input({rows * few, width}, numbers), input({rows, few}, numbers), output(block), end(kernel);
    case kKernel_map: return map_step();
    case kKernel_cross_entropy_errors:
    case kKernel_linear_cross_entropy:
    case kKernel_linear_cross_entropy_table:
    case kKernel_rms_norm_gradient:
    case kKernel_layer_norm_gradient:
    case kKernel_attention_gradient: return training_step(kernel, bytes.below(8) ? rows : 16 * rows);
    case kKernel_dot_parts: {
      const Dims all = {rows, few, 10 * width};
      return input(all, numbers), input(all, numbers), output({int32_t(count(all) + 4095) / 4096}), end(kernel);
    }
    case kKernel_to_float: return input(block, Content::positions), output(block), end(kernel);
    case kKernel_one_hot: return input({rows}, Content::small, width), output(block), end(kernel);
    case kKernel_row_sequences: return input({few + 1}, Content::offsets, rows), output({rows}), end(kernel);
    case kKernel_store_half: return input(block, numbers), output({rows, (width + 1) / 2}), end(kernel, {bytes.below(2)});
    case kKernel_load_half: return input({rows, (width + 1) / 2}, numbers), output(block), end(kernel, {bytes.below(2)});
    case kKernel_low_rank_down:
      return input(block, numbers), input({rows}, Content::small, few), input({few, width, 3}, numbers), input({few}, numbers),
             output({rows, 3}), end(kernel);
    case kKernel_low_rank_up:
      return input({rows}, Content::small, few), input({rows, 3}, numbers), input({few, 3, width}, numbers), input({few}, numbers),
             input(block, numbers), output(block), end(kernel);
    case kKernel_write_slot: return input({width}, numbers), input({1}, Content::small, few), output({few, width}), end(kernel);
    case kKernel_noise: return input({2}, Content::small, 1 << 16), output(block), end(kernel, {bytes.below(2), bytes.below(9)});
    case kKernel_block_quantize: return input(cube, numbers), output({int32_t(count(cube) + 255) / 256, 66}), end(kernel, {bytes.below(2)});
    case kKernel_block_dequantize:
      return input({int32_t(count(cube) + 255) / 256, 66}, numbers), output(cube), end(kernel, {bytes.below(2)});
    default: return input(block, numbers), output(block), end(kernel);
  }
}

// Copies, reads and writes of pages that are mostly there.
static void page_moves(Model& model, Bytes& bytes) {
  const auto some = [&](int count, int below) {
    std::vector<int32_t> numbers;
    for (int i = bytes.below(count); i > 0; --i) numbers.push_back(bytes.below(16) ? bytes.below(below) : bytes.word());
    return numbers;
  };
  for (int moves = bytes.below(4); moves > 0; --moves) {
    const std::vector<int32_t> layers = some(3, 2), pages = some(4, 4);
    const size_t size = model.page_bytes(layers) * pages.size() + (bytes.below(16) ? 0 : 1);
    const std::unique_ptr<uint8_t[]> buffer(new uint8_t[size]());
    if (const int what = bytes.below(3); what == 0) model.copy_pages(layers, pages, some(4, 4));
    else if (what == 1) model.read_pages(layers, pages, buffer.get(), size);
    else model.write_pages(layers, pages, buffer.get(), size);
  }
}

void fuzz_programs(Bytes bytes) {
  const char* names[8];
  const KernelSet& set = *choose_kernels(names[bytes.below(available_kernels(names, 8))]);
  Model model(set, 1);
  std::vector<std::vector<uint8_t>> stored;
  std::vector<RowSource> sources;
  for (const auto& [rows, inputs, type, experts] : kMatrices) {
    stored.emplace_back(stored_row_bytes(type, inputs) * size_t(rows), uint8_t(0x2c));
    sources.push_back({model.add_matrix(type, rows, inputs, experts), -1, stored.back().data(), 0, rows});
  }
  std::atomic<int64_t> done{0};
  model.fill({}, sources, done, nullptr);
  const std::vector<int32_t> layers = {kLayers[0][0], kLayers[0][1], kLayers[0][2], 4, kLayers[1][0], kLayers[1][1], kLayers[1][2], 3};
  model.allocate(4096 * 4, size_t(1) << (12 + (bytes.below(3) ? bytes.below(5) : 10)), bytes.below(4), layers);

  Maker maker{bytes, {}, {}, {}, 0, {}};
  if (bytes.below(16) == 0) maker.words = bytes.words();
  else
    for (int steps = 1 + bytes.below(4); steps > 0; --steps) maker.step(bytes.below(set.count + 1));
  if (!maker.words.empty())
    for (int changes = bytes.below(4); changes > 0; --changes) {
      int32_t& word = maker.words[size_t(uint32_t(bytes.word()) % maker.words.size())];
      word = bytes.below(2) ? bytes.below(8) : bytes.word();
    }
  // Words of exactly their length, so that a read behind them is seen.
  const std::unique_ptr<int32_t[]> words(new int32_t[maker.words.size()]);
  for (size_t i = 0; i < maker.words.size(); ++i) words[i] = maker.words[i];
  const int program = model.add_program(words.get(), maker.words.size());
  std::vector<Binding> in, out;
  for (const Buffer& buffer : maker.inputs) in.push_back({buffer.data.get(), buffer.count});
  for (const Buffer& buffer : maker.outputs) out.push_back({buffer.data.get(), buffer.count});
  const int32_t symbols[4] = {3, bytes.below(3), bytes.below(3), bytes.below(16) ? 0 : bytes.word()};
  model.run(program, symbols, in, out, nullptr);
  page_moves(model, bytes);
}

}  // namespace frugal::test
