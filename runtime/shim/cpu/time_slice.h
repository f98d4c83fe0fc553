// Short time slices, for threads that wait for each other.

#pragma once

// Asks the system for shorter and more frequent time slices, of the same sum, for this thread and for those that it
// starts later. Beside busy programs, a thread that others wait for is then resumed sooner.
void request_short_time_slices();
