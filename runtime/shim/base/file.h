// Files and descriptors, in the same way on all systems. Offsets and sizes are in bytes and may exceed 2 GiB.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

struct FileCloser {
    void operator()(std::FILE *file) const { std::fclose(file); }
};

using File = std::unique_ptr<std::FILE, FileCloser>;

constexpr int STANDARD_OUTPUT_DESCRIPTOR = 1;
constexpr int STANDARD_ERROR_DESCRIPTOR = 2;

// Opens PATH, which is UTF-8 on all systems. Null, with errno set, if that fails.
File open_file(const std::string &path, const char *mode);

// PATH, which is UTF-8 on all systems, for the standard library's questions about files.
std::filesystem::path system_path(const std::string &path);

// The bytes from the position of FILE to its end. ferror() tells whether all of them were read.
std::string read_to_end(std::FILE *file);

bool seek(std::FILE *file, uint64_t offset); // from the start of FILE
bool skip(std::FILE *file, uint64_t size);
std::optional<uint64_t> file_size(std::FILE *file);

int descriptor_of(std::FILE *file);
bool is_terminal(std::FILE *stream);

// True, with errno set, if STREAM was closed when the program began, or cannot be written. Always false on Windows.
bool is_unwritable(std::FILE *stream);

// write(2), which a signal handler may call. Negative, with errno set, on failure.
std::ptrdiff_t write_to(int descriptor, const char *bytes, size_t size);

// Makes Windows transfer the bytes of STREAM unchanged. Returns its previous mode, for set_mode().
int set_binary_mode(std::FILE *stream);
void set_mode(std::FILE *stream, int mode);
