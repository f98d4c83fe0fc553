// Which weights to load, settled before the engine starts, so that a mistake is answered with one sentence.

#pragma once

#include "options/arguments.h"

#include <string>

// True if ARGUMENTS name weights, by one of the engine's options for a file, an address or a repository.
bool names_model(const Arguments &arguments);

// The only GGUF in the container; empty, with a sentence in PROBLEM, if there is none or more than one.
std::string only_model(std::string &problem);

// True if NAME, a file or a member (reference.h), can be opened and begins like a GGUF file; else says why not.
bool check_model(const std::string &name, std::string &problem);
