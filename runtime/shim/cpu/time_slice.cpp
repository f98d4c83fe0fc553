#ifndef __linux__

#include "cpu/time_slice.h"

void request_short_time_slices() {}

#endif
