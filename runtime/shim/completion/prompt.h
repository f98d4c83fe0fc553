// A prompt: text, verbatim, and the images in it.

#pragma once

#include "common.h"
#include "completion/image.h"

#include <string>
#include <vector>

// A text, or else an image.
struct PromptPart {
    std::string text;
    Image image;
    bool is_image = false;
};

using Prompt = std::vector<PromptPart>;

// What PARAMS ask for, with the images read. An image is where the prompt has `<img src="data:…">`, the images of
// --image where it has `<image>`, and those that no `<image>` is left for, before the text.
Prompt read_prompt(const common_params &params);

bool has_images(const Prompt &prompt);
