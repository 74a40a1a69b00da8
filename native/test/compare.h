// Results of one trial with every number of threads, and how they are compared with sums in double.
#pragma once
#include <math.h>

#include "random.h"
#include "trial.h"

namespace frugal::test {

using Results = std::vector<std::vector<float>>;

// `run(threads)` gives the outputs of a trial; their bits must not depend on the threads.
template <class F> Results with_any_threads(F run) {
  Results first;
  for (const int threads : kThreadCounts) {
    const Results all = run(threads);
    if (first.empty()) first = all;
    for (size_t i = 0; i < all.size(); ++i) {
      const int64_t at = first_difference(all[i].data(), first[i].data(), int64_t(first[i].size()));
      CHECK(at < 0, "output %zu, element %lld: %.9g with %d threads, %.9g with 1", i, whole(at), all[i][size_t(at)], threads,
            first[i][size_t(at)]);
    }
  }
  return first;
}

// Each within `allowed`, relative to the largest of those that should be.
inline void near_largest(const char* what, const std::vector<float>& got, const std::vector<double>& wanted, double allowed) {
  CHECK(got.size() == wanted.size(), "%s: %zu numbers, should be %zu", what, got.size(), wanted.size());
  double largest = 1e-30;
  for (const double w : wanted) largest = fmax(largest, fabs(w));
  for (size_t i = 0; i < got.size() && i < wanted.size(); ++i)
    CHECK(fabs(got[i] - wanted[i]) <= allowed * largest, "%s, element %zu: %.9g, should be %.9g (largest %.3g)", what, i, got[i], wanted[i],
          largest);
}

}  // namespace frugal::test
