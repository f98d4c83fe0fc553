// The shaders of ggml-vulkan: a member of the archive, because a program would hold them at seven times the size.

#pragma once

#include <string>

constexpr const char SHADERS_MEMBER[] = "gpu/shaders.zst";

// Inflates them to where the engine expects them. Returns why that is not possible: the end of a sentence, or nothing.
std::string load_shaders();
