// The loops that measure the machine: they read what they are given and no more, and count what they did.
#include "../runtime/calibrate.h"

#include "trial.h"

namespace frugal::test {

KERNEL_TEST(calibrate_loops) {
  for (const int64_t words : {0, 1, 63, 128, 1000, 4096}) {
    describe(print("%s, %lld words", set.name, whole(words)));
    const Fenced data(nullptr, words), result(nullptr, 1);
    for (const int64_t rounds : {1, 7}) {
      const double read = set.probe(int(Probe::read), static_cast<const uint8_t*>(data.data()), size_t(words) * 4, rounds,
                                    static_cast<int32_t*>(result.data()));
      // All but what is left of four parts of whole vectors.
      CHECK(read <= double(words * 4 * rounds) && read > double((words * 4 - 512) * rounds), "%g bytes of %lld, %lld times", read,
            whole(words * 4), whole(rounds));
    }
  }
  int32_t sink = 0;
  for (const Probe probe : {Probe::f32, Probe::int8}) {
    const double one = set.probe(int(probe), nullptr, 0, 1000, &sink), two = set.probe(int(probe), nullptr, 0, 2000, &sink);
    CHECK(one > 0 && two == 2 * one, "%g operations in 1000 rounds, %g in 2000", one, two);
  }
  CHECK(set.probe(7, nullptr, 0, 1, &sink) == 0, "an unknown probe did something");
}

}  // namespace frugal::test
