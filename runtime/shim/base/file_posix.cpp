#include "base/file.h"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

bool seek(std::FILE *file, uint64_t offset) {
    return offset <= INT64_MAX && fseeko(file, static_cast<off_t>(offset), SEEK_SET) == 0;
}

bool skip(std::FILE *file, uint64_t size) {
    return size <= INT64_MAX && fseeko(file, static_cast<off_t>(size), SEEK_CUR) == 0;
}

std::optional<uint64_t> file_size(std::FILE *file) {
    const off_t end = fseeko(file, 0, SEEK_END) == 0 ? ftello(file) : -1;
    return end < 0 ? std::nullopt : std::optional<uint64_t>(end);
}

int descriptor_of(std::FILE *file) {
    return fileno(file);
}

bool is_terminal(std::FILE *stream) {
    return isatty(fileno(stream)) != 0;
}

bool is_unwritable(std::FILE *stream) {
    const int flags = fcntl(fileno(stream), F_GETFL);
    if (flags >= 0 && (flags & O_ACCMODE) == O_RDONLY) { // as correct_inheritance() opens it
        errno = EBADF;
        return true;
    }
    return flags < 0;
}

std::ptrdiff_t write_to(int descriptor, const char *bytes, size_t size) {
    return write(descriptor, bytes, size);
}

int set_binary_mode(std::FILE *) {
    return 0;
}

void set_mode(std::FILE *, int) {}
