// Stored rows to groups and back; called by the loader and by tests, not by programs.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace frugal {
// `count` (1..16) stored rows, `stride` bytes apart, to the codes and scales of one group; missing rows become zero.
using PackGroup = void (*)(int type, const uint8_t* rows, size_t stride, int count, int64_t inputs, uint8_t* codes, uint8_t* scales);
// Group `group` of a packed matrix to that of its coarse copy; `numbers` is room for 16 rows of it.
using PackCoarse = void (*)(const struct Matrix& from, int64_t group, float* numbers, uint8_t* codes, uint8_t* scales);
size_t packed_group_bytes(int type, int64_t inputs);  // of codes; 0 where the type is unknown
size_t packed_scale_bytes(int type, int64_t inputs);
size_t stored_row_bytes(int type, int64_t inputs);  // 0 where the type is unknown or inputs are not whole blocks
}  // namespace frugal
