// JavaScript's values as C++ has them, and back.
#pragma once
#include <node_api.h>
#include <stdint.h>

#include <string>
#include <vector>

namespace {

std::string text(napi_env env, napi_value value) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) return {};
  std::string s(length, '\0');
  napi_get_value_string_utf8(env, value, s.data(), length + 1, &length);
  return s;
}

struct Typed {
  void* data = nullptr;
  size_t count = 0, bytes = 0;
};
bool typed(napi_env env, napi_value value, Typed& t) {
  bool is = false;
  if (napi_is_typedarray(env, value, &is) != napi_ok || !is) return false;
  napi_typedarray_type type;
  if (napi_get_typedarray_info(env, value, &type, &t.count, &t.data, nullptr, nullptr) != napi_ok) return false;
  const size_t size = type == napi_float64_array || type == napi_bigint64_array || type == napi_biguint64_array ? 8
                      : type == napi_int16_array || type == napi_uint16_array                                   ? 2
                      : type == napi_int8_array || type == napi_uint8_array || type == napi_uint8_clamped_array ? 1
                                                                                                                : 4;
  t.bytes = t.count * size;
  return t.count == 0 || t.data != nullptr;
}
bool whole_numbers(napi_env env, napi_value value, std::vector<int32_t>& numbers) {
  Typed t;
  if (!typed(env, value, t) || t.bytes != t.count * 4) return false;
  numbers.assign(static_cast<const int32_t*>(t.data), static_cast<const int32_t*>(t.data) + t.count);
  return true;
}
std::vector<napi_value> list(napi_env env, napi_value value) {
  uint32_t n = 0;
  std::vector<napi_value> items;
  if (napi_get_array_length(env, value, &n) != napi_ok) return items;
  items.resize(n);
  for (uint32_t i = 0; i < n; ++i) napi_get_element(env, value, i, &items[i]);
  return items;
}
napi_value number(napi_env env, double v) {
  napi_value value;
  napi_create_double(env, v, &value);
  return value;
}
napi_value string(napi_env env, const std::string& s) {
  napi_value value;
  napi_create_string_utf8(env, s.data(), s.size(), &value);
  return value;
}

}  // namespace
