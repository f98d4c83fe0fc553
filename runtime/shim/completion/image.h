// Pictures that a prompt is about: jpg, png, gif (its first frame) and bmp.

#pragma once

#include "mtmd.h"

#include <string>

// As it was found, not looked at yet: whoever decodes it can have given up files and connections first.
struct Image {
    std::string name; // for messages
    std::string bytes;
};

// The file NAME, on disk or in an archive. Errors here and below are std::runtime_error.
Image read_image(const std::string &name);

// What `data:image/…;base64,…` holds.
Image image_of_data(const std::string &address);

mtmd::bitmap decode(const Image &image);
