#include "completion/prompt.h"

#include <algorithm>
#include <deque>

namespace {

constexpr const char PLACE[] = "<image>";
constexpr const char TAG[] = "<img src=\"data:";
constexpr const char TAG_END[] = "\"";

void add_text(Prompt &prompt, const std::string &text) {
    if (!text.empty()) {
        prompt.push_back({text, {}, false});
    }
}

void add_image(Prompt &prompt, Image image) {
    prompt.push_back({{}, std::move(image), true});
}

// The end of the tag that starts at AT, after its '>'; npos if it has none. Sets ADDRESS to its URL.
size_t end_of_tag(const std::string &text, size_t at, std::string &address) {
    const size_t start = text.find('"', at) + 1;
    const size_t quote = text.find(TAG_END, start);
    const size_t end = quote == std::string::npos ? quote : text.find('>', quote);
    if (end == std::string::npos) {
        return end;
    }
    address = text.substr(start, quote - start);
    return end + 1;
}

} // namespace

Prompt read_prompt(const common_params &params) {
    std::deque<Image> images;
    for (const std::string &name : params.image) {
        images.push_back(read_image(name));
    }
    Prompt prompt, rest;
    const std::string &text = params.prompt;
    size_t done = 0;
    for (size_t at = 0; (at = text.find("<im", at)) != std::string::npos;) {
        std::string address;
        size_t end = std::string::npos;
        if (text.compare(at, sizeof TAG - 1, TAG) == 0) {
            end = end_of_tag(text, at, address);
        } else if (text.compare(at, sizeof PLACE - 1, PLACE) == 0 && !images.empty()) {
            end = at + sizeof PLACE - 1;
        }
        if (end == std::string::npos) {
            ++at;
            continue;
        }
        add_text(rest, text.substr(done, at - done));
        if (address.empty()) {
            add_image(rest, std::move(images.front()));
            images.pop_front();
        } else {
            add_image(rest, image_of_data(address));
        }
        done = at = end;
    }
    add_text(rest, text.substr(done));
    for (Image &image : images) {
        add_image(prompt, std::move(image));
    }
    prompt.insert(prompt.end(), std::make_move_iterator(rest.begin()), std::make_move_iterator(rest.end()));
    return prompt;
}

bool has_images(const Prompt &prompt) {
    return std::any_of(prompt.begin(), prompt.end(), [](const PromptPart &part) { return part.is_image; });
}
