// The stack of the first thread, which the user may limit.

#pragma once

// Raises the limit of the stack to what the engine needs. Throws UserError if the system does not permit that: the
// program would end with a segmentation fault.
void ensure_stack();
