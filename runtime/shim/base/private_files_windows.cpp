// The folder for caches is in the user's profile, which others cannot open.

#include "base/private_files.h"

#include <filesystem>
#include <system_error>

namespace fs = std::filesystem;

std::string make_private_folder(const std::string &folder) {
    std::error_code error;
    fs::create_directories(system_path(folder), error);
    return fs::is_directory(system_path(folder), error) ? "" : error.message();
}

File open_private_file(const std::string &path) {
    std::error_code error;
    return fs::symlink_status(system_path(path), error).type() == fs::file_type::regular ? open_file(path, "rb")
                                                                                         : nullptr;
}

File create_private_file(const std::string &path) {
    std::error_code error;
    return fs::exists(fs::symlink_status(system_path(path), error)) ? nullptr : open_file(path, "wb");
}

void mark_as_used(const std::string &path) {
    std::error_code error;
    fs::last_write_time(system_path(path), fs::file_time_type::clock::now(), error);
}
