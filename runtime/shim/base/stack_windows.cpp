#include "base/stack.h"

void ensure_stack() {} // the linker sets its size
