// What each kernel may be called with: shapes, kinds of numbers, attributes. check.cpp asks, before anything runs.
#pragma once
#include "step.h"

namespace frugal {

// One rule a kernel, in the words of the comment above that kernel.
struct Checker {
  const Step& step;
  // Nothing where there are fewer, which no rule takes.
  const Array& operator[](int i) const {
    static const Array nothing;
    return i < step.array_count ? step.arrays[i] : nothing;
  }
  int32_t integer(int i) const { return i < step.integer_count ? step.integers[i] : -1; }

  bool counts(int arrays, int integers, int numbers) const {
    return step.array_count == arrays && step.integer_count == integers && step.number_count == numbers;
  }
  static bool absent(const Array& a) { return !a.data && !a.matrix; }
  static bool numbers(const Array& a) { return !a.matrix && (a.data || a.size() == 0); }
  bool all_numbers(int first, int last) const {
    for (int i = first; i < last; ++i)
      if (!numbers((*this)[i])) return false;
    return true;
  }
  static bool filled(const Array& a) { return a.matrix && a.matrix->data && a.matrix->type != kCoarseType; }
  static bool same_size(const Array& a, const Array& b) { return a.size() == b.size(); }
  static bool same_shape(const Array& a, const Array& b, int except = -1) {
    if (a.rank != b.rank) return false;
    for (int d = 0; d < a.rank; ++d)
      if (d != except && a.dim[d] != b.dim[d]) return false;
    return true;
  }
  // Dims of x are those of y or 1, aligned at the right.
  static bool spreads(const Array& x, const Array& y) {
    if (x.rank > y.rank) return false;
    for (int d = 0; d < x.rank; ++d)
      if (x.dim[d] != 1 && x.dim[d] != y.dim[d + y.rank - x.rank]) return false;
    return y.last() == x.last() || x.last() == 1;
  }
  // Codes, scales and sums of x as kernels/activations.h lays them out.
  static bool holds_codes(const Array& codes, const Array& x) {
    return numbers(codes) && x.last() % 32 == 0 && codes.size() >= x.size() / 32 * 15;
  }
  static bool is_coded(const Matrix& w) { return packed_scale_bytes(w.type, 256) > 0; }
  // x · wᵀ can be computed, for `outputs` rows of w.
  bool multiplies(const Array& x, const Array& codes, const Array& w) const {
    return filled(w) && numbers(x) && x.last() == w.matrix->inputs && (!is_coded(*w.matrix) || holds_codes(codes, x));
  }

  bool linear() const {
    const int products = step.integer_count;
    if (products < 1 || products > 16 || step.array_count != 2 + 5 * products || step.number_count != 0) return false;
    const Array& x = (*this)[0];
    for (int i = 0; i < products; ++i) {
      const Array &w = (*this)[2 + 5 * i], &w2 = (*this)[3 + 5 * i], &y = (*this)[4 + 5 * i], &bias = (*this)[5 + 5 * i],
                  &residual = (*this)[6 + 5 * i];
      if (!multiplies(x, (*this)[1], w) || (!absent(w2) && !multiplies(x, (*this)[1], w2))) return false;
      if (w.matrix->experts != 1 || (w2.matrix && w2.matrix->experts != 1)) return false;
      if (!numbers(y) || y.rows() != x.rows() || y.last() != w.matrix->rows || (w2.matrix && w2.matrix->rows != w.matrix->rows))
        return false;
      if (!absent(bias) && (!numbers(bias) || bias.size() != y.last())) return false;
      if (!absent(residual) && (!numbers(residual) || !same_size(residual, y))) return false;
    }
    return true;
  }
  bool expert_linear() const {
    if (!counts(5, 1, 0) || !multiplies((*this)[0], (*this)[1], (*this)[2]) || !all_numbers(3, 5)) return false;
    const Array &x = (*this)[0], &ids = (*this)[3], &y = (*this)[4];
    const Matrix& w = *(*this)[2].matrix;
    const bool rows = x.rows() == ids.size() || (ids.last() > 0 && x.rows() * ids.last() == ids.size());
    return rows && integer(0) == w.experts && w.experts * y.last() == w.rows && y.rows() == ids.size();
  }
  bool coarse_linear() const {
    const Array &x = (*this)[0], &w = (*this)[2], &y = (*this)[3];
    return counts(4, 0, 0) && numbers(x) && numbers(y) && w.matrix && w.matrix->data && w.matrix->type == kCoarseType &&
           x.last() == w.matrix->inputs && holds_codes((*this)[1], x) && y.rows() == x.rows() && y.last() == w.matrix->rows;
  }
  bool picked_linear() const {
    const Array &x = (*this)[0], &w = (*this)[2], &ids = (*this)[3], &y = (*this)[4];
    return counts(5, 0, 0) && multiplies(x, (*this)[1], w) && w.matrix->experts == 1 && numbers(ids) && numbers(y) &&
           ids.rows() == x.rows() && same_size(ids, y);
  }
  bool expert_matmul() const {
    const Array &x = (*this)[0], &w = (*this)[1], &ids = (*this)[2], &y = (*this)[3];
    if (!counts(4, 0, 0) || !all_numbers(0, 4) || w.rank != 3 || x.last() != w.last() || y.last() != w.dim[1] || y.rows() != ids.size())
      return false;
    return x.rows() == ids.size() || (ids.last() > 0 && x.rows() * ids.last() == ids.size());
  }
  bool gemm() const {
    if (!counts(4, 3, 1) || !numbers((*this)[0]) || !numbers((*this)[2])) return false;
    const Array &x = (*this)[0], &w = (*this)[1], &y = (*this)[2], &residual = (*this)[3];
    if (x.rank != 2 || y.rank != 2 || (!absent(residual) && (!numbers(residual) || !same_size(residual, y)))) return false;
    const int64_t rows = integer(0) ? x.dim[1] : x.dim[0], inner = integer(0) ? x.dim[0] : x.dim[1];
    if (w.matrix) {
      if (!filled(w) || w.matrix->experts != 1) return false;
      const int64_t outputs = integer(1) ? w.matrix->inputs : w.matrix->rows, inputs = integer(1) ? w.matrix->rows : w.matrix->inputs;
      return y.dim[0] == rows && y.dim[1] == outputs && inner == inputs;
    }
    return numbers(w) && w.rank == 2 && y.dim[0] == rows && y.dim[1] == w.dim[integer(1) ? 1 : 0] && inner == w.dim[integer(1) ? 0 : 1];
  }
  bool gather() const {
    if (!counts(3, 1, 0) || !all_numbers(1, 3)) return false;
    const Array &table = (*this)[0], &ids = (*this)[1], &y = (*this)[2];
    if (y.rows() != ids.size()) return false;
    if (table.matrix)
      return filled(table) && table.matrix->experts == 1 && table.matrix->inputs == y.last() && integer(0) >= 0 &&
             integer(0) <= table.matrix->rows;
    return numbers(table) && table.last() == y.last() && integer(0) <= table.rows();
  }
  // The rule of heads in integers `first` and behind; keys and values of `key_heads` heads are of these sizes.
  bool heads(int first, const Array& q, const Array& y, int64_t key_size, int64_t value_size) const {
    const int64_t all = integer(first), key_heads = integer(first + 1);
    if (all < 1 || key_heads < 1 || all % key_heads != 0 || key_size < 1 || value_size < 1) return false;
    return q.last() == all * key_size && y.last() == all * value_size && q.rows() == y.rows() &&
           (step.number_count == 2 || step.number_count == 2 + all);
  }
  const Cache::Layer* layer() const {
    return integer(0) >= 0 && integer(0) < step.cache->layer_count ? &step.cache->layers[integer(0)] : nullptr;
  }
  static bool places(const Array& positions, const Array& offsets, const Array& lengths, const Array& table, int64_t rows) {
    return positions.size() == rows && offsets.size() == lengths.size() + 1 && table.size() == lengths.size() * table.last();
  }
  bool cache_write() const {
    if (!counts(6, 1, 0) || !all_numbers(0, 6) || !layer()) return false;
    const Array &k = (*this)[0], &v = (*this)[1];
    const int64_t heads = layer()->heads;
    return heads > 0 && k.last() == heads * layer()->key_size && v.last() == heads * layer()->value_size && k.rows() == v.rows() &&
           places((*this)[2], (*this)[3], (*this)[4], (*this)[5], k.rows());
  }
  bool cache_attend() const {
    if (step.array_count != 6 || step.integer_count != 5 || !all_numbers(0, 6) || !layer()) return false;
    return integer(2) == layer()->heads && heads(1, (*this)[0], (*this)[5], layer()->key_size, layer()->value_size) &&
           places((*this)[1], (*this)[2], (*this)[3], (*this)[4], (*this)[0].rows());
  }
  // Pages for all rows: one for every 32 and one more a sequence.
  static bool holds_pages(const Array& pages, const Array& offsets, int64_t rows, int64_t width) {
    return offsets.size() >= 1 && pages.size() >= (rows / kPageSize + offsets.size() - 1) * kPageSize * width;
  }
  bool attention_write() const {
    if (!counts(4, 1, 0) || !all_numbers(0, 4) || integer(0) < 1) return false;
    const Array &k = (*this)[0], &v = (*this)[1];
    return k.last() > 0 && v.last() > 0 && k.last() % integer(0) == 0 && v.last() % integer(0) == 0 && k.rows() == v.rows() &&
           holds_pages((*this)[3], (*this)[2], k.rows(), k.last() + v.last());
  }
  bool attention() const {
    if (step.array_count != 4 || step.integer_count != 4 || !all_numbers(0, 4) || integer(0) < 1) return false;
    const Array &q = (*this)[0], &y = (*this)[3];
    const int64_t key_size = q.last() / integer(0), value_size = y.last() / integer(0);
    return heads(0, q, y, key_size, value_size) && holds_pages((*this)[2], (*this)[1], q.rows(), integer(1) * (key_size + value_size));
  }
  bool rms_norm() const {
    if (!counts(3, 1, 1) || !all_numbers(0, 3) || integer(0) < 1) return false;
    const Array &x = (*this)[0], &weight = (*this)[1];
    return x.last() % integer(0) == 0 && (weight.last() == x.last() / integer(0) || weight.last() == x.last()) && same_size(x, (*this)[2]);
  }
  bool layer_norm() const {
    const Array& x = (*this)[0];
    return counts(4, 0, 1) && all_numbers(0, 4) && (*this)[1].size() == x.last() && (*this)[2].size() == x.last() &&
           same_size(x, (*this)[3]);
  }
  bool axis(const Array& x) const { return integer(0) >= 0 && integer(0) < x.rank; }
  bool softmax() const { return counts(2, 1, 0) && all_numbers(0, 2) && axis((*this)[0]) && same_size((*this)[0], (*this)[1]); }
  bool binary() const {
    return counts(3, 1, 0) && all_numbers(0, 3) && same_size((*this)[0], (*this)[2]) && spreads((*this)[1], (*this)[2]);
  }
  bool map(int arrays, int integers, int number_count) const {
    if (!counts(arrays, integers, number_count) || !all_numbers(0, arrays)) return false;
    for (int i = 1; i < arrays; ++i)
      if (!same_size((*this)[0], (*this)[i])) return false;
    return true;
  }
  bool rope() const {
    if (!counts(4, 2, 1) || !all_numbers(0, 4) || integer(0) < 1) return false;
    const Array& x = (*this)[0];
    return x.last() % integer(0) == 0 && (*this)[2].size() <= integer(0) / 2 && (*this)[1].size() == x.rows() && same_size(x, (*this)[3]);
  }
  bool slice() const {
    const Array &x = (*this)[0], &y = (*this)[1];
    return counts(2, 2, 0) && all_numbers(0, 2) && axis(y) && same_shape(x, y, integer(0)) && integer(1) >= 0 &&
           integer(1) + y.dim[integer(0)] <= x.dim[integer(0)];
  }
  bool concat() const {
    if (step.array_count < 2 || step.integer_count != 1 || step.number_count != 0 || !all_numbers(0, step.array_count)) return false;
    const Array& y = (*this)[step.array_count - 1];
    if (!axis(y)) return false;
    int64_t total = 0;
    for (int i = 0; i + 1 < step.array_count; ++i) {
      if (!same_shape((*this)[i], y, integer(0))) return false;
      total += (*this)[i].dim[integer(0)];
    }
    return total == y.dim[integer(0)];
  }
  bool transpose() const {
    const Array &x = (*this)[0], &y = (*this)[1];
    if (!counts(2, 0, 0) || !all_numbers(0, 2) || x.rank < 2 || y.rank != x.rank || !same_size(x, y)) return false;
    return x.dim[x.rank - 1] == y.dim[y.rank - 2] && x.dim[x.rank - 2] == y.dim[y.rank - 1];
  }
  bool broadcast() const { return counts(2, 0, 0) && all_numbers(0, 2) && spreads((*this)[0], (*this)[1]); }
  bool scatter_add() const {
    const Array &x = (*this)[0], &y = (*this)[2];
    return counts(3, 0, 0) && all_numbers(0, 3) && x.last() == y.last() && (*this)[1].size() == x.rows();
  }
  bool reduce() const {
    const Array &x = (*this)[0], &y = (*this)[1];
    if (!counts(2, 1, 0) || !all_numbers(0, 2) || !axis(x)) return false;
    int64_t lines = 1;
    for (int d = 0; d < x.rank; ++d) lines *= d == integer(0) ? 1 : x.dim[d];
    return y.size() == lines;
  }
  bool argmax() const { return counts(2, 0, 0) && all_numbers(0, 2) && (*this)[1].size() == (*this)[0].rows(); }
  bool pool() const {
    const Array &x = (*this)[0], &y = (*this)[2];
    return counts(3, 1, 0) && all_numbers(0, 3) && x.last() == y.last() && (*this)[1].size() == y.rows() + 1;
  }
  bool cross_entropy() const {
    const int64_t rows = (*this)[0].rows();
    return counts(3, 0, 0) && all_numbers(0, 3) && (*this)[1].size() == rows && (*this)[2].size() == rows;
  }
  bool route_ids() const {
    const Array &x = (*this)[0], &y = (*this)[1];
    return counts(2, 0, 0) && all_numbers(0, 2) && x.rows() == y.rows() && y.last() <= x.last();
  }
  bool route_weights() const {
    const Array &x = (*this)[0], &y = (*this)[2];
    return counts(3, 1, 0) && all_numbers(0, 3) && x.rows() == y.rows() && same_size((*this)[1], y);
  }
  bool combine() const {
    const Array &x = (*this)[0], &weights = (*this)[1], &y = (*this)[2];
    return counts(3, 0, 0) && all_numbers(0, 3) && x.last() == y.last() && x.rows() == weights.size() && y.rows() == weights.rows();
  }
  // The rules of kernels that training needs.
  bool map() const {
    const int inputs = integer(0), results = integer(1), registers = integer(2);
    if (inputs < 0 || results < 1 || registers < 1 || registers > 64 || step.array_count != inputs + results || inputs > registers)
      return false;
    const int words = step.integer_count - 3 - results, count = words / 5;
    if (words < 0 || words % 5 != 0 || step.number_count != 2 * count || !all_numbers(0, step.array_count)) return false;
    for (int i = 0; i < count; ++i) {
      const int32_t* at = step.integers + 3 + 5 * i;
      if (at[0] < 0 || at[0] > 24) return false;
      for (int k = 1; k < 5; ++k)
        if (at[k] < 0 || at[k] >= registers) return false;
    }
    for (int i = 0; i < results; ++i)
      if (integer(3 + words + i) < 0 || integer(3 + words + i) >= registers || !same_shape((*this)[inputs + i], (*this)[inputs]))
        return false;
    for (int i = 0; i < inputs; ++i)
      if (!spreads((*this)[i], (*this)[inputs])) return false;
    return true;
  }
  bool cross_entropy_errors() const {
    const int64_t rows = (*this)[0].size();
    const Array &losses = (*this)[2], &logits = (*this)[3];
    return counts(4, 0, 0) && all_numbers(0, 2) && numbers(logits) && logits.rows() == rows && (*this)[1].size() == rows &&
           (absent(losses) || (numbers(losses) && losses.size() == rows));
  }
  // A table of `vocabulary` rows as wide as x.
  static bool is_table(const Array& table, const Array& x, int64_t vocabulary) {
    if (vocabulary < 1) return false;
    if (table.matrix)
      return filled(table) && table.matrix->experts == 1 && table.matrix->rows == vocabulary && table.matrix->inputs == x.last();
    return numbers(table) && table.last() == x.last() && table.rows() == vocabulary;
  }
  bool maybe(int i, int64_t size) const { return absent((*this)[i]) || (numbers((*this)[i]) && (*this)[i].size() == size); }
  bool linear_cross_entropy() const {
    const Array& x = (*this)[0];
    const int64_t rows = x.rows();
    return counts(7, 1, 0) && numbers(x) && x.rank == 2 && is_table((*this)[1], x, integer(0)) && numbers((*this)[2]) &&
           (*this)[2].size() == rows && maybe(3, rows) && maybe(4, rows) && maybe(5, x.size()) && maybe(6, rows) &&
           (absent((*this)[5]) || !absent((*this)[3]));
  }
  bool linear_cross_entropy_table() const {
    const Array& x = (*this)[0];
    const int64_t rows = x.rows();
    return counts(6, 1, 0) && numbers(x) && x.rank == 2 && is_table((*this)[1], x, integer(0)) && all_numbers(2, 6) &&
           (*this)[2].size() == rows && (*this)[3].size() == rows && (*this)[4].size() == rows && is_table((*this)[5], x, integer(0));
  }
  bool dot_parts() const {
    return counts(3, 0, 0) && all_numbers(0, 3) && same_size((*this)[0], (*this)[1]) &&
           (*this)[2].size() == ((*this)[0].size() + 4095) / 4096;
  }
  bool norm_gradient(bool rms) const {
    if (!counts(5, rms ? 1 : 0, 1) || !all_numbers(0, 3) || (rms && integer(0) < 1)) return false;
    const Array &x = (*this)[0], &weight = (*this)[1];
    const int64_t groups = rms ? integer(0) : 1;
    return x.last() > 0 && x.last() % groups == 0 && weight.size() == weight.last() &&
           (weight.last() == x.last() / groups || weight.last() == x.last()) && same_size(x, (*this)[2]) && maybe(3, x.size()) &&
           maybe(4, 64 * weight.last()) && (absent((*this)[4]) || (*this)[4].last() == weight.last());
  }
  bool attention_gradient() const {
    if (step.array_count != 8 || step.integer_count != 4 || !all_numbers(0, 5) || integer(0) < 1 || integer(1) < 1 || integer(2) < 0)
      return false;
    const Array &q = (*this)[0], &k = (*this)[1], &v = (*this)[2], &dy = (*this)[4];
    const int64_t all = integer(0), key_heads = integer(1);
    if (all % key_heads != 0 || q.last() % all != 0 || dy.last() % all != 0 || (step.number_count != 2 && step.number_count != 2 + all))
      return false;
    return k.last() == q.last() / all * key_heads && v.last() == dy.last() / all * key_heads && q.rows() == k.rows() &&
           q.rows() == v.rows() && q.rows() == dy.rows() && q.last() > 0 && dy.last() > 0 && (*this)[3].size() >= 1 && maybe(5, q.size()) &&
           maybe(6, k.size()) && maybe(7, v.size());
  }
  bool half(bool stores) const {
    const Array &x = (*this)[stores ? 0 : 1], &words = (*this)[stores ? 1 : 0];
    return counts(2, 1, 0) && all_numbers(0, 2) && x.rows() == words.rows() && words.last() == (x.last() + 1) / 2 && integer(0) >= 0 &&
           integer(0) <= 1;
  }
  bool low_rank_down() const {
    const int linears = (step.array_count - 2) / 3;
    const Array &x = (*this)[0], &slots = (*this)[1];
    if (linears < 1 || !counts(2 + 3 * linears, 0, 0) || !all_numbers(0, step.array_count) || slots.size() != x.rows()) return false;
    for (int i = 0; i < linears; ++i) {
      const Array &a = (*this)[2 + 3 * i], &ranks = (*this)[3 + 3 * i], &few = (*this)[4 + 3 * i];
      if (a.rank != 3 || a.dim[0] != ranks.size() || a.dim[1] != x.last() || a.dim[2] != few.last() || few.rows() != x.rows()) return false;
    }
    return true;
  }
  bool low_rank_up() const {
    const int linears = (step.array_count - 1) / 5;
    const Array& slots = (*this)[0];
    if (linears < 1 || !counts(1 + 5 * linears, 0, 0) || !all_numbers(0, step.array_count)) return false;
    for (int i = 0; i < linears; ++i) {
      const Array &few = (*this)[1 + 5 * i], &b = (*this)[2 + 5 * i], &ranks = (*this)[3 + 5 * i], &y = (*this)[4 + 5 * i],
                  &result = (*this)[5 + 5 * i];
      if (b.rank != 3 || b.dim[0] != ranks.size() || b.dim[1] != few.last() || b.dim[2] != y.last() || few.rows() != slots.size() ||
          y.rows() != slots.size() || !same_shape(y, result))
        return false;
    }
    return true;
  }
  bool write_slot() const {
    const Array &numbers_ = (*this)[0], &weight = (*this)[2];
    return counts(3, 0, 0) && all_numbers(0, 3) && (*this)[1].size() == 1 && weight.rank >= 1 && weight.dim[0] >= 1 &&
           numbers_.size() <= weight.size() / weight.dim[0];
  }
  bool one_hot() const { return counts(2, 0, 0) && all_numbers(0, 2) && (*this)[0].size() == (*this)[1].rows(); }
  bool noise() const { return counts(2, 2, 0) && all_numbers(0, 2) && (*this)[0].size() == 2; }
  // Blocks of 256 numbers are kept as 66.
  bool block_codes(const Array& x, const Array& codes) const {
    return counts(2, 1, 0) && all_numbers(0, 2) && codes.size() == (x.size() + 255) / 256 * 66;
  }
  bool quantize() const { return counts(2, 0, 0) && all_numbers(0, 2) && holds_codes((*this)[1], (*this)[0]); }
};

}  // namespace frugal
