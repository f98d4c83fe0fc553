#include "base/standard_input.h"

#include "base/file.h"
#include "base/user_error.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

bool is_standard_input(const std::string &name) {
    return name == "/dev/stdin" || name == "-";
}

std::string read_standard_input() {
    const int mode = set_binary_mode(stdin);
    std::string text = read_to_end(stdin);
    if (std::ferror(stdin) != 0) {
        throw UserError(std::string("cannot read standard input: ") + std::strerror(errno));
    }
    set_mode(stdin, mode);
    return text;
}
