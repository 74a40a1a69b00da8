// Sums over every axis and sums of products against sums in double, also of lines of nothing.
#include "compare.h"

namespace frugal::test {

KERNEL_TEST(sum_axes) {
  for (const std::vector<int64_t>& dims : std::vector<std::vector<int64_t>>{{1},
                                                                            {9, 5},
                                                                            {64, 33},
                                                                            {300, 1},
                                                                            {1, 300},
                                                                            {700, 130},
                                                                            {5, 7, 17},
                                                                            {3, 40, 65},
                                                                            {2, 3, 4, 5},
                                                                            {2, 1000, 64},
                                                                            {0, 5},
                                                                            {5, 0},
                                                                            {3, 0, 5},
                                                                            {3, 4, 0},
                                                                            {0}})
    for (size_t axis = 0; axis < dims.size(); ++axis) {
      int64_t size = 1, inner = 1;
      for (const int64_t dim : dims) size *= dim;
      for (size_t d = axis + 1; d < dims.size(); ++d) inner *= dims[d];
      std::vector<int64_t> reduced = dims;
      reduced[axis] = 1;
      int64_t lines = 1;
      for (const int64_t dim : reduced) lines *= dim;
      describe(print("%s, %lld numbers, axis %zu of %zu, %lld inside", set.name, whole(size), axis, dims.size(), whole(inner)));
      Random random(size + int64_t(axis));
      const auto x = random.normals(size);
      std::vector<double> wanted(size_t(lines), 0);
      for (int64_t i = 0; i < size; ++i) wanted[size_t(i / inner / dims[axis] * inner + i % inner)] += x[size_t(i)];
      const Results got = with_any_threads([&](int threads) {
        Trial trial(set, threads);
        const Place y = trial.output(reduced);
        trial.step(kKernel_sum, {trial.input(x, dims), y}, {int32_t(axis)});
        trial.must_run();
        return Results{trial.copy(y)};
      });
      near_largest("sum", got[0], wanted, 2e-5);
    }
}

// Pieces of 4096 products.
KERNEL_TEST(dot_parts) {
  for (const int64_t count : {0, 1, 5, 16, 4095, 4096, 4097, 30000}) {
    describe(print("%s, %lld numbers", set.name, whole(count)));
    Random random(count);
    const auto a = random.normals(count), b = random.normals(count);
    const int64_t pieces = (count + 4095) / 4096;
    std::vector<double> wanted(size_t(pieces), 0);
    double total = 0;
    for (int64_t i = 0; i < count; ++i) {
      wanted[size_t(i / 4096)] += double(a[size_t(i)]) * b[size_t(i)];
      total += double(a[size_t(i)]) * b[size_t(i)];
    }
    const Results got = with_any_threads([&](int threads) {
      Trial trial(set, threads);
      const Place parts = trial.output({pieces}), y = trial.output({1});
      trial.step(kKernel_dot_parts, {trial.input(a, {count}), trial.input(b, {count}), parts});
      trial.step(kKernel_sum, {parts, y}, {0});
      trial.must_run();
      return Results{trial.copy(parts), trial.copy(y)};
    });
    near_largest("parts", got[0], wanted, 2e-5);
    near_largest("dot", got[1], {total}, 2e-5 * fmax(1, sqrt(double(count)) / fmax(1, fabs(total))));
  }
}

}  // namespace frugal::test
