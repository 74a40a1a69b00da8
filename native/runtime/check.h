// Whether a step's operands are what its kernel takes for granted: how many there are, that they are there, and that their sizes agree.
// What lies in them (ids, offsets, pages) the kernels check themselves.
#pragma once
#include "step.h"

namespace frugal {

bool fits_kernel(const Step& step);

}  // namespace frugal
