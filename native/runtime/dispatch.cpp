#include "dispatch.h"

#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define FRUGAL_SET(isa)                                                                                   \
  extern "C" void frugal_pack_group_##isa(int, const uint8_t*, size_t, int, int64_t, uint8_t*, uint8_t*); \
  extern "C" void frugal_pack_coarse_##isa(const frugal::Matrix&, int64_t, float*, uint8_t*, uint8_t*);   \
  extern "C" double frugal_probe_##isa(int, const uint8_t*, size_t, int64_t, int32_t*);                   \
  namespace frugal::isa##_set {                                                                           \
    const Kernel kernels[] = {
#define FRUGAL_SET_END(isa)                                                                                                         \
  }                                                                                                                                 \
  ;                                                                                                                                 \
  const KernelSet set = {                                                                                                           \
      #isa, kernels, int(sizeof kernels / sizeof *kernels), frugal_pack_group_##isa, frugal_pack_coarse_##isa, frugal_probe_##isa}; \
  }

#if defined(__x86_64__)
#define FRUGAL_KERNEL(name) extern "C" void frugal_##name##_avx2(const frugal::Step&, int, int);
#include "../kernels/kernels.def"
#undef FRUGAL_KERNEL
#define FRUGAL_KERNEL(name) frugal_##name##_avx2,
FRUGAL_SET(avx2)
#include "../kernels/kernels.def"
FRUGAL_SET_END(avx2)
#undef FRUGAL_KERNEL
#define FRUGAL_KERNEL(name) extern "C" void frugal_##name##_avx512(const frugal::Step&, int, int);
#include "../kernels/kernels.def"
#undef FRUGAL_KERNEL
#define FRUGAL_KERNEL(name) frugal_##name##_avx512,
FRUGAL_SET(avx512)
#include "../kernels/kernels.def"
FRUGAL_SET_END(avx512)
#undef FRUGAL_KERNEL
#endif
#define FRUGAL_KERNEL(name) extern "C" void frugal_##name##_portable(const frugal::Step&, int, int);
#include "../kernels/kernels.def"
#undef FRUGAL_KERNEL
#define FRUGAL_KERNEL(name) frugal_##name##_portable,
FRUGAL_SET(portable)
#include "../kernels/kernels.def"
FRUGAL_SET_END(portable)
#undef FRUGAL_KERNEL

namespace frugal {

#if defined(__x86_64__)
static bool has_f16c() {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c >> 29 & 1);
}
#endif

int available_kernels(const char** names, int most) {
  int n = 0;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
  if (avx512 && n < most) names[n++] = "avx512";
  if (avx2 && n < most) names[n++] = "avx2";
#endif
  if (n < most) names[n++] = "portable";
  return n;
}

const KernelSet* choose_kernels(const char* name) {
  const char* names[4];
  const int n = available_kernels(names, 4);
  for (int i = 0; i < n; ++i) {
    if (name && *name && strcmp(name, names[i]) != 0) continue;
#if defined(__x86_64__)
    if (strcmp(names[i], "avx512") == 0) return &avx512_set::set;
    if (strcmp(names[i], "avx2") == 0) return &avx2_set::set;
#endif
    return &portable_set::set;
  }
  return nullptr;
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
