// Slices, joins, transposes and scattered sums of odd sizes, along every axis.
#include "random.h"
#include "trial.h"

namespace frugal::test {

// Element [i][j][k] of dims [a][b][c].
static size_t at(const std::vector<int64_t>& dims, int64_t i, int64_t j, int64_t k) { return size_t((i * dims[1] + j) * dims[2] + k); }

KERNEL_TEST(slice) {
  const std::vector<int64_t> dims = {5, 7, 33};
  Random random(1);
  const auto x = random.normals(5 * 7 * 33);
  for (int axis = 0; axis < 3; ++axis)
    for (const int64_t start : {0, 1, 2})
      for (const int64_t length : {int64_t(1), int64_t(2), dims[size_t(axis)] - start}) {
        describe(print("%s, axis %d, %lld from %lld", set.name, axis, whole(length), whole(start)));
        std::vector<int64_t> cut = dims;
        cut[size_t(axis)] = length;
        Trial trial(set, 2);
        const Place y = trial.output(cut);
        trial.step(kKernel_slice, {trial.input(x, dims), y}, {axis, int32_t(start)});
        trial.must_run();
        for (int64_t i = 0; i < cut[0]; ++i)
          for (int64_t j = 0; j < cut[1]; ++j)
            for (int64_t k = 0; k < cut[2]; ++k)
              CHECK(trial.floats(y)[at(cut, i, j, k)] ==
                        x[at(dims, i + (axis == 0) * start, j + (axis == 1) * start, k + (axis == 2) * start)],
                    "[%lld][%lld][%lld]", whole(i), whole(j), whole(k));
      }
}

KERNEL_TEST(concat) {
  for (int axis = 0; axis < 3; ++axis) {
    describe(print("%s, axis %d", set.name, axis));
    Random random(axis);
    Trial trial(set, 2);
    std::vector<Place> places;
    std::vector<std::vector<float>> parts;
    std::vector<int64_t> joined = {3, 2, 17};
    joined[size_t(axis)] = 0;
    for (const int64_t length : {1, 17, 0, 4}) {
      std::vector<int64_t> dims = {3, 2, 17};
      dims[size_t(axis)] = length;
      joined[size_t(axis)] += length;
      parts.push_back(random.normals(dims[0] * dims[1] * dims[2]));
      places.push_back(trial.input(parts.back(), dims));
    }
    const Place y = trial.output(joined);
    places.push_back(y);
    trial.step(kKernel_concat, places, {axis}, {});
    trial.must_run();
    int64_t start = 0;
    for (size_t p = 0; p < parts.size(); ++p) {
      const auto& dims = places[p].dims;
      for (int64_t i = 0; i < dims[0]; ++i)
        for (int64_t j = 0; j < dims[1]; ++j)
          for (int64_t k = 0; k < dims[2]; ++k)
            CHECK(trial.floats(y)[at(joined, i + (axis == 0) * start, j + (axis == 1) * start, k + (axis == 2) * start)] ==
                      parts[p][at(dims, i, j, k)],
                  "part %zu [%lld][%lld][%lld]", p, whole(i), whole(j), whole(k));
      start += dims[size_t(axis)];
    }
  }
}

KERNEL_TEST(transpose) {
  for (const int64_t rows : {1, 5, 16, 33})
    for (const int64_t columns : {1, 7, 32, 129}) {
      describe(print("%s, %lld x %lld", set.name, whole(rows), whole(columns)));
      Random random(rows);
      const auto x = random.normals(rows * columns);
      Trial trial(set, 2);
      const Place y = trial.output({columns, rows});
      trial.step(kKernel_transpose, {trial.input(x, {rows, columns}), y});
      trial.must_run();
      for (int64_t i = 0; i < rows * columns; ++i)
        CHECK(trial.floats(y)[i % columns * rows + i / columns] == x[size_t(i)], "element %lld", whole(i));
    }
}

// Sums in the order of the rows, so the threads don't matter.
KERNEL_TEST(scatter_add) {
  for (const int64_t width : {1, 63, 64, 65, 200}) {
    Random random(width);
    const auto x = random.normals(40 * width);
    std::vector<int32_t> ids;
    for (int i = 0; i < 40; ++i) ids.push_back(random.below(6));
    std::vector<float> expected(size_t(7 * width), 0);
    for (int64_t i = 0; i < 40 * width; ++i) expected[size_t(ids[size_t(i / width)] * width + i % width)] += x[size_t(i)];
    for (const int threads : kThreadCounts) {
      describe(print("%s, width %lld, %d threads", set.name, whole(width), threads));
      Trial trial(set, threads);
      const Place y = trial.output({7, width});
      trial.step(kKernel_scatter_add, {trial.input(x, {40, width}), trial.input(ids, {40}), y});
      trial.must_run();
      CHECK(trial.copy(y) == expected, "element %lld differs", whole(first_difference(trial.floats(y), expected.data(), 7 * width)));
    }
  }
  for (const int32_t id : {-1, 7, INT32_MAX}) {
    Trial trial(set, 2);
    trial.step(kKernel_scatter_add,
               {trial.input(std::vector<float>(6, 1), {2, 3}), trial.input(std::vector<int32_t>{0, id}, {2}), trial.output({7, 3})});
    CHECK(trial.run().fault_code == kIdOutOfRange, "id %d was taken", id);
  }
}

}  // namespace frugal::test
