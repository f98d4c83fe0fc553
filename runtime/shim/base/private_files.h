// Files that only this user can read or change: private_files_SYSTEM.cpp.

#pragma once

#include "base/file.h"

#include <string>

// Creates FOLDER for this user alone. Returns why that is not so: the end of a sentence, or nothing.
std::string make_private_folder(const std::string &folder);

// Open a file, never through a link; null if it is not a file of this user.
File open_private_file(const std::string &path);
File create_private_file(const std::string &path);

// Makes PATH the most recently used one.
void mark_as_used(const std::string &path);
