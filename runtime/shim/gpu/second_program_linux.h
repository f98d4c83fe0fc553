// On Linux, the program for GPUs: dynamic, because drivers need the system's C library. It is a member of the archive,
// and runs from memory, or from a file without a name where the system allows no programs in memory.

#pragma once

#include "base/arguments.h"
#include "gpu/probe.h"

#include <string>

// True if the own container has the program for this machine.
bool has_second_program();

class SecondProgram {
  public:
    SecondProgram() = default;
    SecondProgram(const SecondProgram &) = delete;
    SecondProgram &operator=(const SecondProgram &) = delete;
    ~SecondProgram();

    // Unpacks the program and starts it as a probe. Throws UserError if the member is damaged.
    ProbeResult probe();

    // After a probe that found devices: replaces this program, started as ARGUMENT0 with ARGUMENTS. Returns only if
    // that fails, with the reason: the end of a sentence.
    std::string take_over(const std::string &argument0, const Arguments &arguments) const;

  private:
    int descriptor = -1;
};
