// Runs the tests whose names contain an argument, or all: kernel-test [--list] [name...]. One line for each that fails, one in the end.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <chrono>

#include "check.h"

namespace frugal::test {

static Test* first = nullptr;
static long checks = 0, failures = 0, failures_here = 0;
static std::string described;

Test::Test(const char* name_, void (*run_)()) : name(name_), run(run_), next(first) { first = this; }

void record(bool good, const char* file, int line, const char* condition, const char* format, ...) {
  ++checks;
  if (good) return;
  ++failures;
  constexpr long most = 8;
  if (++failures_here > most) return;
  if (failures_here == most) return (void)fprintf(stderr, "  ... and more\n");
  const char* name = strrchr(file, '/');
  fprintf(stderr, "  %s:%d: %s: CHECK(%s): ", name ? name + 1 : file, line, described.c_str(), condition);
  va_list values;
  va_start(values, format);
  vfprintf(stderr, format, values);
  va_end(values);
  fputc('\n', stderr);
}
void describe(const std::string& what) { described = what; }

std::string print(const char* format, ...) {
  char text[512];
  va_list values;
  va_start(values, format);
  vsnprintf(text, sizeof text, format, values);
  va_end(values);
  return text;
}

static double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

static int run_tests(int count, char** arguments) {
  bool list = false;
  for (int i = 0; i < count; ++i) list = list || strcmp(arguments[i], "--list") == 0;
  const double start = seconds();
  int run = 0, failed = 0;
  for (const Test* test = first; test; test = test->next) {
    bool wanted = count == (list ? 1 : 0);
    for (int i = 0; i < count; ++i) wanted = wanted || strstr(test->name, arguments[i]);
    if (!wanted) continue;
    const double before = seconds();
    failures_here = 0;
    describe(test->name);
    test->run();
    ++run;
    if (failures_here > 0) {
      ++failed;
      fprintf(stderr, "%s: %ld checks failed\n", test->name, failures_here);
    }
    if (list) printf("%-24s %6.2f s\n", test->name, seconds() - before);
  }
  printf("%d tests, %d failed; %ld checks, %ld failed (%.1f s)\n", run, failed, checks, failures, seconds() - start);
  return failed > 0 || run == 0 ? 1 : 0;
}

}  // namespace frugal::test

int main(int count, char** arguments) { return frugal::test::run_tests(count - 1, arguments + 1); }
