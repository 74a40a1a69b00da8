// The fuzz target: its first byte chooses what the others are. Kernels of one thread, so that a crash comes back from the same bytes.
#include "bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  frugal::test::Bytes bytes{data, size};
  if (bytes.byte() % 4 == 0) frugal::test::fuzz_stored_blocks(bytes);
  else frugal::test::fuzz_programs(bytes);
  return 0;
}
