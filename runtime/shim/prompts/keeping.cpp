#include "prompts/keeping.h"

#include "base/cache_folder.h"
#include "base/csv.h"
#include "base/digest.h"
#include "base/environment.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/private_files.h"
#include "common.h"
#include "log.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <system_error>

namespace {

constexpr int PLACES = 32;
constexpr int KEPT_AT_ONCE = 8;      // system prompts of one process; later ones must come twice
constexpr size_t SEEN_MAX = 4096;    // digests of system prompts
constexpr size_t ALMOST_ALL = 8;     // tokens that may be missing in a state: where text meets text, tokens differ
constexpr uint64_t MEMORY_SHARE = 4; // a quarter of the memory that is available
constexpr uint64_t DISK_SHARE = 4;   // and of the disk
constexpr size_t DIGITS_MAX = 6;     // of a descriptor's number
constexpr unsigned MEBIBYTE = 20;    // as a power of two
constexpr const char VARIABLE[] = "LLAMAFILE_PROMPT_FILES";

PromptKeeping *keeping = nullptr; // never destroyed: a thread may use it when the process ends

struct ForChildren {
    std::string files;     // the numbers of those that they inherit
    uint64_t size_max = 0; // they cannot ask how full the disk is
};

ForChildren for_children;

std::vector<Place> inherited_places() {
    std::vector<Place> places;
    for (const std::string &number : split_csv(variable(VARIABLE))) {
        const bool is_number = !number.empty() && number.size() < DIGITS_MAX &&
                               number.find_first_not_of("0123456789") == std::string::npos;
        if (const std::optional<Place> place = is_number ? Place::inherited(std::stoi(number)) : std::nullopt) {
            places.push_back(*place);
        }
    }
    return places;
}

std::vector<Place> open_places(const std::string &folder, bool are_for_children) {
    std::vector<Place> places;
    for (int i = 0; i < PLACES; ++i) {
        char name[sizeof "/00.prompt"];
        std::snprintf(name, sizeof name, "/%02d.prompt", i);
        if (const std::optional<Place> place = Place::open(folder + name, are_for_children)) {
            places.push_back(*place);
        }
    }
    return places;
}

std::string numbers_of(const std::vector<Place> &places) {
    std::string numbers;
    for (const Place &place : places) {
        if (place.number() >= 0) {
            numbers += (numbers.empty() ? "" : ",") + std::to_string(place.number());
        }
    }
    return numbers;
}

// SIZE_MAX, or less on a full disk: what PLACES have, and a share of what is free.
uint64_t disk_limit(const std::vector<Place> &places, const std::string &folder, uint64_t size_max) {
    std::error_code error;
    const std::filesystem::space_info space = std::filesystem::space(system_path(folder), error);
    if (error) {
        return size_max;
    }
    uint64_t used = 0;
    for (const Place &place : places) {
        used += place.status().value_or(Place::Status{0, 0}).size;
    }
    return std::min(size_max, used + space.available / DISK_SHARE);
}

void say_that_nothing_is_kept(const std::string &reason) {
    LOG_TRC("the states of system prompts are not kept on disk: %s\n", reason.c_str());
}

} // namespace

bool PromptKeeping::is_worth_keeping(uint64_t state_context, const std::vector<int32_t> &tokens, size_t size) {
    const std::optional<PromptStore::Match> match = prompt_store->find(state_context, tokens, can_cut);
    if (tokens.size() < TOKENS_MIN || (match && match->tokens + ALMOST_ALL >= tokens.size())) {
        return false;
    }
    Digest digest;
    digest.add_number(state_context);
    digest.add(tokens.data(), tokens.size() * sizeof tokens[0]);
    if (seen.size() >= SEEN_MAX) {
        seen.clear();
    }
    const bool is_new = seen.insert(digest.value()).second;
    if ((is_new && kept_count >= KEPT_AT_ONCE) || size > prompt_store->limit() ||
        writer.held_size() + size > memory_max) {
        return false;
    }
    ++kept_count;
    return true;
}

void open_prompt_keeping(const common_params &params, uint64_t size_max, bool are_for_children) {
    if (size_max == 0 || !params.cache_prompt || has_prompt_files()) {
        return;
    }
    const std::optional<std::string> caches = user_cache_folder();
    if (!caches) {
        say_that_nothing_is_kept("this user has no folder for caches");
        return;
    }
    const std::string folder = *caches + "/prompts";
    std::vector<Place> places = inherited_places();
    remove_variable(VARIABLE);
    if (places.empty()) {
        const std::string reason = make_private_folder(folder);
        if (!reason.empty()) {
            say_that_nothing_is_kept("'" + folder + "': " + reason);
            return;
        }
        places = open_places(folder, are_for_children);
    }
    if (places.empty()) {
        say_that_nothing_is_kept("the files in '" + folder + "' cannot be written");
        return;
    }
    const uint64_t limit = disk_limit(places, folder, size_max);
    if (are_for_children) {
        for_children = {numbers_of(places), limit};
        return;
    }
    LOG_TRC("the states of system prompts are kept in '%s', at most %llu MiB\n", folder.c_str(),
            static_cast<unsigned long long>(limit >> MEBIBYTE));
    keeping =
        new PromptKeeping(std::make_unique<PromptStore>(places, folder, limit), available_memory() / MEMORY_SHARE);
}

bool has_prompt_files() {
    return keeping != nullptr || for_children.size_max != 0;
}

PromptKeeping *prompt_keeping() {
    return keeping;
}

void finish_prompt_keeping() {
    if (keeping != nullptr) {
        keeping->state_writer().finish();
    }
}

std::string prompt_variable_for_children() {
    return for_children.files.empty() ? "" : std::string(VARIABLE) + "=" + for_children.files;
}

std::vector<std::string> prompt_option_for_children() {
    return {"--cache-disk", std::to_string(for_children.size_max >> MEBIBYTE)};
}
