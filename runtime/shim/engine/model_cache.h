// The models that other programs have downloaded: the cache of the Hugging Face Hub.

#pragma once

#include <string>

// True if a model of REPOSITORY, which may end in a colon and a quantization, is there.
bool is_in_model_cache(const std::string &repository);

// True if any model is there.
bool has_cached_models();

std::string model_cache_folder();
