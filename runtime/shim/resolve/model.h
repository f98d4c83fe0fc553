// Selects and checks the weights before the engine starts, so that a mistake is reported in one sentence.

#pragma once

#include "base/arguments.h"

#include <string>

// True if ARGUMENTS contain one of the engine's options that name weights: a file, an address or a repository.
bool names_model(const Arguments &arguments);

// The name of the only GGUF file in the program's container. Throws UserError if there is none or more than one.
std::string only_model();

// Throws UserError if NAME, a file or a member (archive/reference.h), cannot be opened or does not start like a GGUF
// file.
void check_model(const std::string &name);
