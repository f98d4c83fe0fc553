// The GGUF files of an archive, and which of them an option means.

#pragma once

#include "archive/container.h"

#include <string>
#include <vector>

// A model in several files counts as its first one: the engine derives the names of the others.
std::vector<const zip::Member *> weights_of(const Container &container);

// Their names in quotes, each with PREFIX before it, in one line.
std::string list_of_weights(const Container &container, const std::string &prefix = "");

// The one that is meant where CONTAINER is the value of one of OPTIONS: the only one, else what its own default
// arguments give as the value of that option. Nothing, with a sentence in PROBLEM, if that settles nothing.
const zip::Member *weights_meant(const Container &container, const std::vector<std::string> &options,
                                 std::string &problem);

// What CONTAINER's own default arguments give as the value of one of OPTIONS, if it is a member of it.
const zip::Member *default_value(const Container &container, const std::vector<std::string> &options,
                                 std::string &problem);
