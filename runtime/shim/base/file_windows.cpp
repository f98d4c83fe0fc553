#include "base/file.h"

#include <fcntl.h>
#include <io.h>

bool seek(std::FILE *file, uint64_t offset) {
    return offset <= INT64_MAX && _fseeki64(file, static_cast<long long>(offset), SEEK_SET) == 0;
}

bool skip(std::FILE *file, uint64_t size) {
    return size <= INT64_MAX && _fseeki64(file, static_cast<long long>(size), SEEK_CUR) == 0;
}

std::optional<uint64_t> file_size(std::FILE *file) {
    const long long end = _fseeki64(file, 0, SEEK_END) == 0 ? _ftelli64(file) : -1;
    return end < 0 ? std::nullopt : std::optional<uint64_t>(end);
}

int descriptor_of(std::FILE *file) {
    return _fileno(file);
}

bool is_terminal(std::FILE *stream) {
    return _isatty(_fileno(stream)) != 0;
}

bool is_unwritable(std::FILE *) {
    return false;
}

std::ptrdiff_t write_to(int descriptor, const char *bytes, size_t size) {
    return _write(descriptor, bytes, static_cast<unsigned>(size));
}

int set_binary_mode(std::FILE *stream) {
    return _setmode(_fileno(stream), _O_BINARY);
}

void set_mode(std::FILE *stream, int mode) {
    _setmode(_fileno(stream), mode);
}
