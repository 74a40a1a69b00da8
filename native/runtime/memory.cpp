#include "memory.h"

#include <sys/mman.h>

namespace frugal {

Memory::Memory(size_t bytes, bool huge_pages) {
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
}

Memory::~Memory() {
  if (mapping_) munmap(mapping_, mapped_);
}

}  // namespace frugal
