// Checks and the list of tests. TEST(name) { ... } runs once; KERNEL_TEST(name) { ... } runs for every kernel set of this processor, as `set`.
#pragma once
#include <string>

#include "../runtime/dispatch.h"

namespace frugal::test {

// One test; the list is linked through `next`.
struct Test {
  Test(const char* name, void (*run)());
  const char* name;
  void (*run)();
  Test* next;
};

// Counts, and prints the first failures of a test. What is checked goes on either way, so that one fault shows all it breaks.
__attribute__((format(printf, 5, 6))) void record(bool good, const char* file, int line, const char* condition, const char* format, ...);
// Said with each failure: the kernel set, the format, the sizes under test.
void describe(const std::string& what);
// For %lld.
inline long long whole(int64_t n) { return n; }
void for_each_set(void (*run)(const KernelSet& set));
std::string print(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace frugal::test

// CHECK(condition, "format", values): the values are computed only where it fails.
#define CHECK(condition, ...)                                                        \
  do {                                                                               \
    if (condition) ::frugal::test::record(true, nullptr, 0, nullptr, "%s", "");      \
    else ::frugal::test::record(false, __FILE__, __LINE__, #condition, __VA_ARGS__); \
  } while (false)

#define TEST(name)                                                     \
  static void test_##name();                                           \
  static const ::frugal::test::Test listed_##name(#name, test_##name); \
  static void test_##name()

#define KERNEL_TEST(name)                                   \
  static void sets_##name(const ::frugal::KernelSet& set);  \
  TEST(name) { ::frugal::test::for_each_set(sets_##name); } \
  static void sets_##name([[maybe_unused]] const ::frugal::KernelSet& set)
