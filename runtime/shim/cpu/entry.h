// The entry point of programs for x86-64, which refuses processors that the program is not compiled for with a message
// instead of an illegal instruction.
//
// The linker makes llamafile_entry the first instruction (runtime/builder/build.py): libc, which prepares the process
// for constructors, is compiled for the same processors as everything else.

#pragma once

// For code that runs before the check or after it has failed.
#define ANY_X86_64 __attribute__((target("no-sse3,no-ssse3")))

constexpr const char REFUSAL[] = "llamafile: this processor has no SSSE3, which Intel's have had since 2006 and AMD's "
                                 "since 2011; it cannot run this program\n";
