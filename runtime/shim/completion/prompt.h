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

// The prompt in PARAMS, with its images read. `<img src="data:…">` in its text becomes an image, and so does each
// `<image>`, for the images of --image in their order; the other images of --image precede the text.
Prompt read_prompt(const common_params &params);

bool has_images(const Prompt &prompt);
