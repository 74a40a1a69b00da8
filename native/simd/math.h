// exp, tanh, erf, sin, cos, log over the vocabulary: no libm in kernels, so that every platform rounds alike.
#pragma once

namespace frugal::FRUGAL_ISA {

// Relative error below 2e-7 on [-87, 88]; 0 below, infinity above; NaN stays NaN. 2^k * polynomial(r), |r| <= ln2/2.
static inline F32 exp(F32 x) {
  const F32 lowest = splat(-87.0f), highest = splat(88.0f);
  const F32 c = min(max(x, lowest), highest);
  const F32 k = round(c * 1.44269504f);
  const F32 r = fma(k, splat(2.12194440e-4f), fma(k, splat(-0.693359375f), c));
  F32 p = splat(1.9875691500e-4f);
  p = fma(p, r, splat(1.3981999507e-3f));
  p = fma(p, r, splat(8.3334519073e-3f));
  p = fma(p, r, splat(4.1665795894e-2f));
  p = fma(p, r, splat(1.6666665459e-1f));
  p = fma(p, r, splat(5.0000001201e-1f));
  p = fma(p * r, r, r + splat(1.0f));
  const F32 y = p * from_bits((to_integer(k) + 127) << 23);
  const F32 bounded = x < lowest ? splat(0.0f) : (x > highest ? splat(__builtin_inff()) : y);
  return x == x ? bounded : x;
}

// exp(x) - 1 without cancellation near 0: for |x| < 0.35 the series, else exp.
static inline F32 expm1(F32 x) {
  F32 p = splat(1.0f / 5040);
  p = fma(p, x, splat(1.0f / 720));
  p = fma(p, x, splat(1.0f / 120));
  p = fma(p, x, splat(1.0f / 24));
  p = fma(p, x, splat(1.0f / 6));
  p = fma(p, x, splat(0.5f));
  const F32 small = fma(p * x, x, x);
  const F32 magnitude = max(x, -x);
  return magnitude < splat(0.35f) ? small : exp(x) - splat(1.0f);
}

static inline F32 sigmoid(F32 x) { return splat(1.0f) / (splat(1.0f) + exp(-x)); }

// tanh x = e / (e + 2), e = exp(2x) - 1; 1 beyond 9.
static inline F32 tanh(F32 x) {
  const F32 c = min(max(x, splat(-10.0f)), splat(10.0f));
  const F32 e = expm1(c + c);
  const F32 y = e / (e + splat(2.0f));
  return x == x ? y : x;
}

// The series for |x| < 0.9, else 1 - t exp(-x^2 + q(t)) with the Chebyshev fit of erfc in Numerical Recipes (relative error 1.2e-7).
static inline F32 erf(F32 x) {
  const F32 z = max(x, -x), s = x * x;
  F32 p = splat(-1.636584469e-07f);
  p = fma(p, s, splat(1.646211437e-06f));
  p = fma(p, s, splat(-1.492565036e-05f));
  p = fma(p, s, splat(1.205533298e-04f));
  p = fma(p, s, splat(-8.548327023e-04f));
  p = fma(p, s, splat(5.223977625e-03f));
  p = fma(p, s, splat(-2.686617065e-02f));
  p = fma(p, s, splat(1.128379167e-01f));
  p = fma(p, s, splat(-3.761263890e-01f));
  p = fma(p, s, splat(1.128379167e+00f));
  const F32 small = p * x;
  const F32 t = splat(1.0f) / fma(z, splat(0.5f), splat(1.0f));
  F32 q = splat(0.17087277f);
  q = fma(q, t, splat(-0.82215223f));
  q = fma(q, t, splat(1.48851587f));
  q = fma(q, t, splat(-1.13520398f));
  q = fma(q, t, splat(0.27886807f));
  q = fma(q, t, splat(-0.18628806f));
  q = fma(q, t, splat(0.09678418f));
  q = fma(q, t, splat(0.37409196f));
  q = fma(q, t, splat(1.00002368f));
  q = fma(q, t, splat(-1.26551223f));
  const F32 tail = splat(1.0f) - t * exp(q - s);
  const F32 large = x < splat(0.0f) ? -tail : tail;
  return z < splat(0.9f) ? small : large;
}

// Natural logarithm of a positive number; NaN below 0 and of NaN, -infinity at 0. Cephes' polynomial on [sqrt(1/2), sqrt(2)].
static inline F32 log(F32 x) {
  const F32 scaled = x < splat(1.17549435e-38f) ? x * splat(8388608.0f) : x;
  const I32 bits = bits_of(scaled);
  I32 exponent = ((bits >> 23) & 255) - 126;
  F32 m = from_bits((bits & 0x007fffff) | 0x3f000000);
  F32 e = to_float(exponent) - (x < splat(1.17549435e-38f) ? splat(23.0f) : splat(0.0f));
  const F32 root = splat(0.707106781f);
  e = m < root ? e - splat(1.0f) : e;
  m = (m < root ? m + m : m) - splat(1.0f);
  const F32 s = m * m;
  F32 p = splat(7.0376836292e-2f);
  p = fma(p, m, splat(-1.1514610310e-1f));
  p = fma(p, m, splat(1.1676998740e-1f));
  p = fma(p, m, splat(-1.2420140846e-1f));
  p = fma(p, m, splat(1.4249322787e-1f));
  p = fma(p, m, splat(-1.6668057665e-1f));
  p = fma(p, m, splat(2.0000714765e-1f));
  p = fma(p, m, splat(-2.4999993993e-1f));
  p = fma(p, m, splat(3.3333331174e-1f));
  F32 y = p * m * s;
  y = fma(e, splat(-2.12194440e-4f), y);
  y = fma(splat(-0.5f), s, y);
  y = fma(e, splat(0.693359375f), m + y);
  const F32 infinity = splat(__builtin_inff());
  y = x == infinity ? infinity : y;
  y = x == splat(0.0f) ? -infinity : y;
  return x >= splat(0.0f) ? y : splat(__builtin_nanf(""));
}

// Angles up to 1e6: the quarter turn is found in double, so large positions keep their phase. Absolute error below 2e-7.
// Beyond 1e15 nothing of the phase is left: NaN.
static inline void sin_cos(float angle, float* sine, float* cosine) {
  const bool known = __builtin_fabsf(angle) < 1e15f;
  const double turns = (known ? double(angle) : 0.0) * 0.63661977236758134308;
  const double quarter = double(int64_t(turns + (turns < 0 ? -0.5 : 0.5)));
  const float r = float(known ? (turns - quarter) * 1.57079632679489661923 : __builtin_nan("")), s = r * r;
  const float sin_r = r + r * s * (-1.6666654611e-1f + s * (8.3321608736e-3f + s * -1.9515295891e-4f));
  const float cos_r = 1.0f - 0.5f * s + s * s * (4.166664568298827e-2f + s * (-1.388731625493765e-3f + s * 2.443315711809948e-5f));
  const int q = int(int64_t(quarter) & 3);
  *sine = q == 0 ? sin_r : q == 1 ? cos_r : q == 2 ? -sin_r : -cos_r;
  *cosine = q == 0 ? cos_r : q == 1 ? -sin_r : q == 2 ? -cos_r : sin_r;
}

static inline F32 sin_or_cos(F32 angles, bool sine) {
  F32 y = angles;
  for (int i = 0; i < kLanes; ++i) {
    float s, c;
    sin_cos(angles[i], &s, &c);
    y[i] = sine ? s : c;
  }
  return y;
}

}  // namespace frugal::FRUGAL_ISA
