#include "memory.h"

#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define FRUGAL_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FRUGAL_ADDRESS_SANITIZER
#endif
#endif
#if defined(FRUGAL_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#endif

namespace frugal {

// Under the address sanitizer the bytes behind what was asked for are out of bounds, though the system gave whole pages.
static void forbid_behind([[maybe_unused]] uint8_t* end, [[maybe_unused]] size_t bytes) {
#if defined(FRUGAL_ADDRESS_SANITIZER)
  __asan_poison_memory_region(end, bytes);
#endif
}
static void allow_again([[maybe_unused]] void* from, [[maybe_unused]] size_t bytes) {
#if defined(FRUGAL_ADDRESS_SANITIZER)
  __asan_unpoison_memory_region(from, bytes);
#endif
}

Memory::Memory(uint64_t bytes, bool huge_pages) {
  constexpr size_t huge = size_t(2) << 20;
  const size_t size = bytes == 0 ? 64 : bytes;
  mapped_ = size + (huge_pages ? huge : 0);
  if (mapped_ < size) return;
  mapping_ = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping_ == MAP_FAILED) {
    mapping_ = nullptr;
    mapped_ = 0;
    return;
  }
  data_ = static_cast<uint8_t*>(mapping_);
  bytes_ = bytes;
#ifdef MADV_HUGEPAGE
  if (huge_pages) {
    data_ = reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(mapping_) + huge - 1) & ~(huge - 1));
    madvise(data_, size, MADV_HUGEPAGE);
  }
#endif
  forbid_behind(data_ + size, mapped_ - size_t(data_ - static_cast<uint8_t*>(mapping_)) - size);
}

Memory::~Memory() {
  if (!mapping_) return;
  allow_again(mapping_, mapped_);
  munmap(mapping_, mapped_);
}

}  // namespace frugal
