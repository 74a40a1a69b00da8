// Large zeroed memory from the system: pages cost nothing until touched, huge pages where the system offers them.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <utility>

namespace frugal {

class Memory {
 public:
  Memory() = default;
  // `data()` is null where the system has no more.
  explicit Memory(uint64_t bytes, bool huge_pages);
  Memory(Memory&& other) noexcept { swap(other); }
  Memory& operator=(Memory&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Memory();
  uint8_t* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  void swap(Memory& other) {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(mapping_, other.mapping_);
    std::swap(mapped_, other.mapped_);
  }
  uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
  void* mapping_ = nullptr;
  size_t mapped_ = 0;
};

}  // namespace frugal
