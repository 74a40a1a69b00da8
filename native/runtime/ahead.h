// Reading weights ahead: a thread that would wait asks for the first of its part of the next product's weights, so that memory is not idle.
// Decode of Gemma 3 270M Q4_K_M, 2 threads: 121 before, 147 after, together with contiguous parts for threads (single runs some minutes apart, not interleaved).
#pragma once
#include <atomic>

#include "step.h"

namespace frugal {

// Prefetches up to `bytes` of what thread `thread` reads first in a linear step; ends early when `stop` is not 0.
void read_ahead(const Step& linear, int thread, int threads, size_t bytes, const std::atomic<int32_t>& stop);

}  // namespace frugal
