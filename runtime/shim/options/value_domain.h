// The values that each option takes. apepack refuses the same values in the same words (runtime/options.py).

#pragma once

#include "base/arguments.h"

#include <string>

// Why VALUES cannot be those of the option NAME, as a sentence without its end; empty if they can be, or if only the
// engine can judge them.
std::string value_refusal(const std::string &name, const Arguments &values);

// True if only the engine can judge some values of the option NAME.
bool needs_engine_check(const std::string &name);

// The values of the option NAME in words; empty if it takes any text.
std::string values_in_words(const std::string &name);
