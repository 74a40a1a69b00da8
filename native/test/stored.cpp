#include "stored.h"

#include <math.h>
#include <string.h>

namespace frugal::test {

double half_to_double(uint16_t half) {
  const int exponent = half >> 10 & 31, mantissa = half & 1023;
  const double size = exponent == 31  ? (mantissa ? NAN : INFINITY)
                      : exponent == 0 ? ldexp(mantissa, -24)
                                      : ldexp(1024 + mantissa, exponent - 25);
  return half & 0x8000 ? -size : size;
}

static double half_at(const uint8_t* p) { return half_to_double(uint16_t(p[0] + 256 * p[1])); }
// Nibble i of 32 in 16 bytes: the low ones first.
static int nibble(const uint8_t* p, int i) { return i < 16 ? p[i] % 16 : p[i - 16] / 16; }
static int bit(const uint8_t* p, int i) { return p[i / 8] >> i % 8 & 1; }
// Two bits of the K formats: 32 bytes hold four runs of 32.
static int pair(const uint8_t* p, int i) { return p[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3; }

static const int iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
static const double fp4_values[16] = {0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6};

static Element f32(const uint8_t* p, int) {
  float v;
  memcpy(&v, p, 4);
  return {v, 0};
}
static Element f16(const uint8_t* p, int) { return {half_at(p), 0}; }
static Element bf16(const uint8_t* p, int) {
  const uint32_t bits = uint32_t(p[0] + 256 * p[1]) << 16;
  float v;
  memcpy(&v, &bits, 4);
  return {v, 0};
}
static Element q4_0(const uint8_t* p, int i) { return {half_at(p) * (nibble(p + 2, i) - 8), 0}; }
static Element q4_1(const uint8_t* p, int i) { return {half_at(p) * nibble(p + 4, i), -half_at(p + 2)}; }
static Element q5_0(const uint8_t* p, int i) { return {half_at(p) * (nibble(p + 6, i) + 16 * bit(p + 2, i) - 16), 0}; }
static Element q5_1(const uint8_t* p, int i) { return {half_at(p) * (nibble(p + 8, i) + 16 * bit(p + 4, i)), -half_at(p + 2)}; }
static Element q8_0(const uint8_t* p, int i) { return {half_at(p) * int8_t(p[2 + i]), 0}; }
static Element q2_k(const uint8_t* p, int i) {
  const int scales = p[i / 16];
  return {half_at(p + 80) * (scales % 16) * pair(p + 16, i), half_at(p + 82) * (scales / 16)};
}
static Element q3_k(const uint8_t* p, int i) {
  const uint8_t* s = p + 96;
  const int sub = i / 16, low = sub < 8 ? s[sub] % 16 : s[sub - 8] / 16, high = s[8 + sub % 4] >> sub / 4 * 2 & 3;
  const int code = pair(p + 32, i) - (p[i % 32] >> i / 32 & 1 ? 0 : 4);
  return {half_at(p + 108) * (low + 16 * high - 32) * code, 0};
}
// Scale and minimum of sub-block j among eight, six bits each.
static int six_bit_scale(const uint8_t* s, int j) { return j < 4 ? s[j] % 64 : s[j + 4] % 16 + s[j - 4] / 64 * 16; }
static int six_bit_minimum(const uint8_t* s, int j) { return j < 4 ? s[j + 4] % 64 : s[j + 4] / 16 + s[j] / 64 * 16; }
static Element q4_k(const uint8_t* p, int i) {
  const int code = i / 32 % 2 ? p[16 + i / 64 * 32 + i % 32] / 16 : p[16 + i / 64 * 32 + i % 32] % 16;
  return {half_at(p) * six_bit_scale(p + 4, i / 32) * code, half_at(p + 2) * six_bit_minimum(p + 4, i / 32)};
}
static Element q5_k(const uint8_t* p, int i) {
  const int low = i / 32 % 2 ? p[48 + i / 64 * 32 + i % 32] / 16 : p[48 + i / 64 * 32 + i % 32] % 16;
  const int code = low + 16 * (p[16 + i % 32] >> i / 32 & 1);
  return {half_at(p) * six_bit_scale(p + 4, i / 32) * code, half_at(p + 2) * six_bit_minimum(p + 4, i / 32)};
}
static Element q6_k(const uint8_t* p, int i) {
  const int quarter = i % 128 / 32, byte = p[i / 128 * 64 + quarter % 2 * 32 + i % 32];
  const int code = (quarter < 2 ? byte % 16 : byte / 16) + 16 * (p[128 + i / 128 * 32 + i % 32] >> quarter * 2 & 3) - 32;
  return {half_at(p + 208) * int8_t(p[192 + i / 16]) * code, 0};
}
static Element iq4_nl(const uint8_t* p, int i) { return {half_at(p) * iq4_values[nibble(p + 2, i)], 0}; }
static Element iq4_xs(const uint8_t* p, int i) {
  const int sub = i / 32, low = sub % 2 ? p[4 + sub / 2] / 16 : p[4 + sub / 2] % 16, high = (p[2] + 256 * p[3]) >> sub * 2 & 3;
  return {half_at(p) * (low + 16 * high - 32) * iq4_values[nibble(p + 8 + 16 * sub, i % 32)], 0};
}
// Five base-3 digits a byte, most significant first, as the fraction byte / 256.
static int digit(int byte, int n) {
  for (; n > 0; --n) byte = byte * 3 % 256;
  return byte * 3 / 256;
}
static Element tq1_0(const uint8_t* p, int i) {
  const int code = i < 160   ? digit(p[i % 32], i / 32)
                   : i < 240 ? digit(p[32 + i % 16], (i - 160) / 16)
                             : digit(p[48 + i % 4], (i - 240) / 4);
  return {half_at(p + 52) * (code - 1), 0};
}
static Element tq2_0(const uint8_t* p, int i) { return {half_at(p + 64) * (pair(p, i) - 1), 0}; }
static Element mxfp4(const uint8_t* p, int i) { return {ldexp(fp4_values[nibble(p + 1, i)], p[0] - 127), 0}; }

const std::vector<Format>& formats() {
  static const std::vector<Format> all = {
      {"F32", 0, 1, 4, f32, {}},           {"F16", 1, 1, 2, f16, {0}},           {"BF16", 30, 1, 2, bf16, {}},
      {"Q4_0", 2, 32, 18, q4_0, {0}},      {"Q4_1", 3, 32, 20, q4_1, {0, 2}},    {"Q5_0", 6, 32, 22, q5_0, {0}},
      {"Q5_1", 7, 32, 24, q5_1, {0, 2}},   {"Q8_0", 8, 32, 34, q8_0, {0}},       {"Q2_K", 10, 256, 84, q2_k, {80, 82}},
      {"Q3_K", 11, 256, 110, q3_k, {108}}, {"Q4_K", 12, 256, 144, q4_k, {0, 2}}, {"Q5_K", 13, 256, 176, q5_k, {0, 2}},
      {"Q6_K", 14, 256, 210, q6_k, {208}}, {"IQ4_NL", 20, 32, 18, iq4_nl, {0}},  {"IQ4_XS", 23, 256, 136, iq4_xs, {0}},
      {"TQ1_0", 34, 256, 54, tq1_0, {52}}, {"TQ2_0", 35, 256, 66, tq2_0, {64}},  {"MXFP4", 39, 32, 17, mxfp4, {}},
  };
  return all;
}

std::vector<uint8_t> random_rows(const Format& format, int64_t rows, int64_t inputs, Random& random) {
  std::vector<uint8_t> bytes(size_t(rows * format.row_bytes(inputs)));
  for (auto& byte : bytes) byte = uint8_t(random.bits());
  for (size_t at = 0; at < bytes.size(); at += size_t(format.bytes)) {
    // Exponents of F16 around 2^-7 to 1, now and then 0 or a subnormal.
    for (const int offset : format.halves) {
      const int exponent = random.below(16) == 0 ? 0 : 8 + random.below(8);
      bytes[at + size_t(offset) + 1] = uint8_t((bytes[at + size_t(offset) + 1] & 0x83) | exponent << 2);
    }
    if (format.type == 39) bytes[at] = uint8_t(112 + random.below(32));
    if (format.type == 0) {
      const float v = random.normal();
      memcpy(&bytes[at], &v, 4);
    }
    if (format.type == 30) {
      const float v = random.normal();
      memcpy(&bytes[at], reinterpret_cast<const uint8_t*>(&v) + 2, 2);
    }
  }
  return bytes;
}

std::vector<Element> decode(const Format& format, const uint8_t* rows, int64_t elements) {
  std::vector<Element> values;
  values.reserve(size_t(elements));
  for (int64_t i = 0; i < elements; ++i) values.push_back(format.element(rows + i / format.block * format.bytes, int(i % format.block)));
  return values;
}

}  // namespace frugal::test
