#include "engine/model_cache.h"

#include "download.h"
#include "hf-cache.h"

#include <exception>

bool is_in_model_cache(const std::string &repository) {
    try {
        return !common_download_resolve_path(repository, "").empty();
    } catch (const std::exception &) { // the repository has another form
        return false;
    }
}

bool has_cached_models() {
    try {
        return !common_list_cached_models().empty();
    } catch (const std::exception &) { // the user has no home
        return false;
    }
}

std::string model_cache_folder() {
    try {
        return hf_cache::get_cache_path();
    } catch (const std::exception &) {
        return {};
    }
}
