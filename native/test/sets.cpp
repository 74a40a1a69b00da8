// Which kernel sets tests run with; apart from main.cpp, so that tests without kernels link without them.
#include "check.h"

namespace frugal::test {

void for_each_set(void (*run)(const KernelSet& set)) {
  const char* names[8];
  const int count = available_kernels(names, 8);
  for (int i = 0; i < count; ++i) {
    describe(names[i]);
    run(*choose_kernels(names[i]));
  }
}

}  // namespace frugal::test
