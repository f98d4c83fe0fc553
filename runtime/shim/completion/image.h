// Images in a prompt: JPEG, PNG, GIF (the first frame) and BMP. Errors are UserError.

#pragma once

#include "mtmd.h"

#include <string>

// An image file that is not decoded yet: decoding happens in the sandbox.
struct Image {
    std::string name; // for messages
    std::string bytes;
};

// Reads the file NAME, on disk or in an archive.
Image read_image(const std::string &name);

// The image in the URL `data:image/…;base64,…`.
Image image_of_data(const std::string &address);

mtmd::bitmap decode(const Image &image);
