// The list of models of the option --models-preset: in each section the options of one model, under its name.

#pragma once

#include "options/options.h"

#include <string>
#include <vector>

struct Preset {
    std::string name;
    Arguments arguments; // those of all models, then its own
};

// The models in the list NAME, a file or a member, in their order; at least one. Throws UserError, with the line, if it
// has options that the server has not, or values that these do not take, or a model that cannot be opened.
std::vector<Preset> read_presets(const std::string &name);

// OPTIONS without the list of models if one model is meant: that of -m, which may be a name in the list, or in a mode
// with one model the first. The options of the list for this model take its place.
Options with_one_model(const Options &options, const EngineOptions &engine, Mode mode);

// The name of the model that serves requests without a name: the first in the list of OPTIONS; empty without a list.
std::string first_model(const Options &options);
