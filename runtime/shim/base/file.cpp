#include "base/file.h"

extern "C" std::FILE *ggml_fopen_os(const char *path, const char *mode); // ggml.c's: takes UTF-8 on Windows too

File open_file(const std::string &path, const char *mode) {
    return File(ggml_fopen_os(path.c_str(), mode));
}

std::filesystem::path system_path(const std::string &path) {
    return std::u8string(path.begin(), path.end());
}

std::string read_to_end(std::FILE *file) {
    std::string bytes;
    char buffer[1 << 16];
    for (size_t size = 0; (size = std::fread(buffer, 1, sizeof buffer, file)) > 0;) {
        bytes.append(buffer, size);
    }
    return bytes;
}
