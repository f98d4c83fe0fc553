// The GGUF files of a container, and the selection of one of them for an option.

#pragma once

#include "archive/container.h"

#include <string>
#include <vector>

// Of a model in several files, only the first: the engine derives the names of the others.
std::vector<const zip::Member *> weights_of(const Container &container);

// Their names in quotes, each with PREFIX before it, in one line.
std::string list_of_weights(const Container &container, const std::string &prefix = "");

// True if CONTAINER contains a model or default arguments. A runtime without these is an ordinary program.
bool is_packed(const Container &container);

// The weights that CONTAINER stands for as the value of one of OPTIONS: its only ones, else the value of this option in
// its default arguments. Throws UserError if neither selects one.
const zip::Member &select_weights(const Container &container, const std::vector<std::string> &options);

// The member that CONTAINER's default arguments give as the value of one of OPTIONS; null if there is none. Throws
// UserError if the arguments cannot be read.
const zip::Member *default_value(const Container &container, const std::vector<std::string> &options);
