// The activation functions, by the number src/backends/core/words.ts gives them.
#pragma once
#include "kernel.h"

namespace frugal::FRUGAL_ISA {

enum Gate : int { kSilu = 0, kGelu = 1, kGeluTanh = 2, kRelu = 3, kRelu2 = 4, kQuickGelu = 5, kTanh = 6, kSigmoid = 7, kIdentity = 8 };

static inline F32 gated(int kind, F32 x) {
  switch (kind) {
    case kSilu: return x * sigmoid(x);
    case kGelu: return splat(0.5f) * x * (splat(1.0f) + erf(x * splat(0.70710678f)));
    // (1 + tanh z) / 2 = sigmoid 2z
    case kGeluTanh: return x * sigmoid(splat(1.59576912f) * fma(splat(0.044715f) * x * x, x, x));
    case kRelu: return max(x, splat(0));
    case kRelu2: {
      const F32 r = max(x, splat(0));
      return r * r;
    }
    case kQuickGelu: return x * sigmoid(splat(1.702f) * x);
    case kTanh: return tanh(x);
    case kSigmoid: return sigmoid(x);
    default: return x;
  }
}

}  // namespace frugal::FRUGAL_ISA
