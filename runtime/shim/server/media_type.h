// Media types of web pages.

#pragma once

#include <string>

// The value of Content-Type for the file NAME, by its extension.
std::string media_type_of(const std::string &name);
