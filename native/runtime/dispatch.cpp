#include "dispatch.h"

#include <string.h>
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

#include "processor.h"

// The sets of an architecture, those of native/sets.mjs.
#if defined(__x86_64__)
#define FRUGAL_ISA avx512
#include "set.def"
#undef FRUGAL_ISA
#define FRUGAL_ISA avx2
#include "set.def"
#undef FRUGAL_ISA
#endif
#if defined(__aarch64__)
#define FRUGAL_ISA neon_i8mm
#include "set.def"
#undef FRUGAL_ISA
#define FRUGAL_ISA neon_dot
#include "set.def"
#undef FRUGAL_ISA
#define FRUGAL_ISA neon
#include "set.def"
#undef FRUGAL_ISA
#else
#define FRUGAL_ISA portable
#include "set.def"
#undef FRUGAL_ISA
#endif

namespace frugal {

// Calls f(set) for the sets that this processor runs, best first.
template <class F> static void each_set(F f) {
#if defined(__x86_64__)
  const X86Features has = x86_features();
  if (has.avx512) f(avx512_set::set);
  if (has.avx2) f(avx2_set::set);
#endif
#if defined(__aarch64__)
#if defined(__linux__)
  // Told of ARMv8.2, compilers use the atomic instructions of ARMv8.1 too.
  const unsigned long features = getauxval(AT_HWCAP), more = getauxval(AT_HWCAP2);
  const bool dot = (features >> 20 & 1) && (features >> 8 & 1), i8mm = dot && (more >> 13 & 1);
#elif defined(__APPLE__)
  const auto has = [](const char* name) {
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
  };
  const bool dot = has("hw.optional.arm.FEAT_DotProd") && has("hw.optional.arm.FEAT_LSE"), i8mm = dot && has("hw.optional.arm.FEAT_I8MM");
#else
  const bool dot = false, i8mm = false;
#endif
  if (i8mm) f(neon_i8mm_set::set);
  if (dot) f(neon_dot_set::set);
  f(neon_set::set);
#else
  f(portable_set::set);
#endif
}

int available_kernels(const char** names, int most) {
  int n = 0;
  each_set([&](const KernelSet& set) {
    if (n < most) names[n++] = set.name;
  });
  return n;
}

const KernelSet* choose_kernels(const char* name) {
  const KernelSet* chosen = nullptr;
  each_set([&](const KernelSet& set) {
    if (!chosen && (!name || !*name || strcmp(name, set.name) == 0)) chosen = &set;
  });
  return chosen;
}

size_t packed_group_bytes(int type, int64_t inputs) {
  switch (type) {
#define FORMAT(name, number, block, bytes, layout, table) \
  case number: return layout.group_bytes(inputs);
    FRUGAL_FORMATS(FORMAT)
#undef FORMAT
    default: return 0;
  }
}

size_t packed_scale_bytes(int type, int64_t inputs) {
  switch (type) {
#define FORMAT(name, number, block, bytes, layout, table) \
  case number: return layout.scale_area(inputs);
    FRUGAL_FORMATS(FORMAT)
#undef FORMAT
    default: return 0;
  }
}

size_t stored_row_bytes(int type, int64_t inputs) {
  switch (type) {
#define FORMAT(name, number, block, bytes, layout, table) \
  case number: return inputs % block == 0 ? size_t(inputs / block) * bytes : 0;
    FRUGAL_FORMATS(FORMAT)
#undef FORMAT
    default: return 0;
  }
}

}  // namespace frugal
