// Replaces the header that the engine generates when it embeds its web pages: ours come from the archive and are known
// only at run time. The functions are defined in server/pages.cpp.

#pragma once

#include <cstddef>
#include <string>
#include <vector>

#define LLAMA_UI_HAS_ASSETS 1

struct llama_ui_asset {
    std::string name;
    const unsigned char *data;
    std::size_t size;
    std::string etag;
    std::string type;
};

const llama_ui_asset *llama_ui_find_asset(const std::string &name);
const std::vector<llama_ui_asset> &llama_ui_get_assets();
bool llama_ui_use_gzip();
