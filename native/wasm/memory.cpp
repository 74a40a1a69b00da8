// Large memory in WebAssembly: pages the module grows by, zeroed by the engine. It cannot be given back; the whole module's memory goes when its
// model is disposed of.
#include "../runtime/memory.h"

namespace frugal {

Memory::Memory(uint64_t bytes, bool) {
  constexpr size_t page = size_t(64) << 10;
  if (bytes >= uint64_t(1) << 32) return;
  const size_t pages = size_t(bytes / page) + (bytes % page != 0 || bytes == 0);
  const size_t before = __builtin_wasm_memory_grow(0, pages);
  if (before == SIZE_MAX) return;
  mapping_ = reinterpret_cast<void*>(before * page);
  mapped_ = pages * page;
  data_ = static_cast<uint8_t*>(mapping_);
  bytes_ = size_t(bytes);
}

Memory::~Memory() {}

}  // namespace frugal
