// What requests may ask of the engine, which by itself has no bounds but the stack and the memory: each limit is far
// above what clients send, and far below what brings a server down.

#pragma once

// From here on, sizes are limited. What is nested too deep for the stack is refused in any case.
void limit_requests();
