// `new` and `delete` for a module with threads: the C library's allocator, made for one thread, behind a lock. A page's main thread may not
// sleep, so who waits looks again.
#include <stdlib.h>

#include <atomic>
#include <new>

#include "heap.h"

static std::atomic_flag taken = ATOMIC_FLAG_INIT;

namespace {
struct Lock {
  Lock() {
    while (taken.test_and_set(std::memory_order_acquire)) {}
  }
  ~Lock() { taken.clear(std::memory_order_release); }
};
}  // namespace

void* frugal_take(size_t alignment, size_t bytes) {
  const Lock lock;
  return alignment > 16 ? aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment) : malloc(bytes == 0 ? 1 : bytes);
}
void frugal_give(void* p) {
  const Lock lock;
  free(p);
}
static void* take(size_t alignment, size_t bytes) {
  void* p = frugal_take(alignment, bytes);
  if (!p) __builtin_trap();  // without exceptions nobody could be told; the worker ends with an error that says so
  return p;
}
static void give(void* p) { frugal_give(p); }

void* operator new(size_t bytes) { return take(1, bytes); }
void* operator new[](size_t bytes) { return take(1, bytes); }
void* operator new(size_t bytes, std::align_val_t alignment) { return take(size_t(alignment), bytes); }
void* operator new[](size_t bytes, std::align_val_t alignment) { return take(size_t(alignment), bytes); }
void operator delete(void* p) noexcept { give(p); }
void operator delete[](void* p) noexcept { give(p); }
void operator delete(void* p, size_t) noexcept { give(p); }
void operator delete[](void* p, size_t) noexcept { give(p); }
void operator delete(void* p, std::align_val_t) noexcept { give(p); }
void operator delete[](void* p, std::align_val_t) noexcept { give(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { give(p); }
void operator delete[](void* p, size_t, std::align_val_t) noexcept { give(p); }

// What the standard library says before it gives up: nobody reads it, and the code that prints would be a fifth of the module.
namespace std {
inline namespace __1 {
[[noreturn]] void __libcpp_verbose_abort(const char*, ...) { __builtin_trap(); }
}  // namespace __1
}  // namespace std
extern "C" void abort() { __builtin_trap(); }
