// Memory for who can bear that there is none: null then.
#pragma once
#include <stddef.h>

void* frugal_take(size_t alignment, size_t bytes);
void frugal_give(void* p);
