// What this machine can do at most: bytes read, operations on 32-bit numbers, operations on bytes; each a second.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace frugal {

// A multiply-add is two operations. src/backends/native/calibrate.ts has the same order.
enum class Probe : int { read, f32, int8 };
constexpr int kProbes = 3;

// Does `rounds` rounds of the loop and returns the bytes or operations done; `sink` gets a value, so that the work counts.
using ProbeLoop = double (*)(int probe, const uint8_t* data, size_t bytes, int64_t rounds, int32_t* sink);

// By `threads` threads together; 0 where memory is short. Takes about a second at most. Reading is the median of its passes, as
// other programs disturb it both ways; arithmetic is the best one, as nothing makes it faster than it is.
double calibrate(ProbeLoop loop, Probe probe, int threads);

}  // namespace frugal
