// What an x86 processor can do and the system lets it: asked here, since zig's run-time library answers __builtin_cpu_supports with "nothing".
#pragma once
#if defined(__x86_64__)
#include <cpuid.h>

namespace frugal {

struct X86Features {
  bool avx2 = false;    // with FMA, F16C and BMI2
  bool avx512 = false;  // F, BW, DQ, VL and VNNI
};

inline X86Features x86_features() {
  X86Features found;
  unsigned a, b, c, d, b7, c7;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return found;
  const bool fma = c >> 12 & 1, f16c = c >> 29 & 1, saves = c >> 27 & 1, avx = c >> 28 & 1;
  if (!saves || !avx || !__get_cpuid_count(7, 0, &a, &b7, &c7, &d)) return found;
  unsigned low, high;  // which registers the system keeps between threads
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  const bool keeps_avx = (low & 0x06) == 0x06, keeps_avx512 = (low & 0xe6) == 0xe6;
  const bool avx2 = b7 >> 5 & 1, bmi2 = b7 >> 8 & 1, f = b7 >> 16 & 1, dq = b7 >> 17 & 1, bw = b7 >> 30 & 1, vl = b7 >> 31 & 1,
             vnni = c7 >> 11 & 1;
  found.avx2 = keeps_avx && avx2 && fma && f16c && bmi2;
  found.avx512 = found.avx2 && keeps_avx512 && f && dq && bw && vl && vnni;
  return found;
}

}  // namespace frugal
#endif
