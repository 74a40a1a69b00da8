// Which kernel sets tests run with: all that this processor has, or only the one that FRUGAL_TEST_SET names, which must be its best. Apart
// from main.cpp, so that tests without kernels link without them.
#include <stdlib.h>
#include <string.h>

#include "check.h"

namespace frugal::test {

void for_each_set(void (*run)(const KernelSet& set)) {
  const char* names[8];
  const int count = getenv("FRUGAL_TEST_SET") ? 1 : available_kernels(names, 8);
  for (int i = 0; i < count; ++i) {
    const KernelSet& set = *choose_kernels(count == 1 ? nullptr : names[i]);
    describe(set.name);
    run(set);
  }
}

TEST(sets_of_processor) {
  const char* wanted = getenv("FRUGAL_TEST_SET");
  const char* best = choose_kernels(nullptr)->name;
  CHECK(!wanted || strcmp(wanted, best) == 0, "the best set is %s, not %s", best, wanted);
  CHECK(!choose_kernels("none such"), "a set that is not there was found");
}

}  // namespace frugal::test
