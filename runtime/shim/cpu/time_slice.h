#ifndef LLAMAFILE_TIME_SLICE_H
#define LLAMAFILE_TIME_SLICE_H

// Asks the system for shorter and more frequent turns on a processor, of the same sum. A thread that others wait for is
// then resumed sooner beside busy programs. For this thread, and for those that it starts later.
void request_short_time_slices();

#endif
