#include "base/standard_input.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#endif

bool is_standard_input(const std::string &name) {
    return name == "/dev/stdin" || name == "-";
}

std::string read_standard_input() {
#ifdef _WIN32
    const int mode = _setmode(_fileno(stdin), _O_BINARY);
#endif
    std::string text;
    char buffer[1 << 16];
    for (size_t size; (size = std::fread(buffer, 1, sizeof buffer, stdin)) > 0;) {
        text.append(buffer, size);
    }
    if (std::ferror(stdin) != 0) {
        throw std::runtime_error(std::string("cannot read standard input: ") + std::strerror(errno));
    }
#ifdef _WIN32
    _setmode(_fileno(stdin), mode);
#endif
    return text;
}
