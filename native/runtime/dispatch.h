// The kernels of the instruction set chosen at start.
#pragma once
#include "../kernels/pack.h"
#include "calibrate.h"
#include "step.h"

namespace frugal {

struct KernelSet {
  const char* name;
  const Kernel* kernels;
  int count;
  PackGroup pack_group;
  PackCoarse pack_coarse;
  ProbeLoop probe;
};

// Places of kernels in every set.
enum : int {
#define FRUGAL_KERNEL(name) kKernel_##name,
#include "../kernels/kernels.def"
#undef FRUGAL_KERNEL
};

// The best set this processor runs, or the one named; null where the name is unknown or the processor lacks it.
const KernelSet* choose_kernels(const char* name);
// Names of the sets this processor runs, best first; returns how many.
int available_kernels(const char** names, int most);

}  // namespace frugal
