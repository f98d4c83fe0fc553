#include "completion/output.h"

#include "base/file.h"
#include "base/user_error.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace {

[[noreturn]] void fail() {
    throw UserError(std::string("cannot write the text to standard output: ") + std::strerror(errno));
}

// The size of an incomplete character at the end of TEXT; 0 for bytes that are not UTF-8.
size_t unfinished_size(const std::string &text) {
    for (size_t size = 1; size <= std::min<size_t>(3, text.size()); ++size) {
        const auto byte = static_cast<unsigned char>(text[text.size() - size]);
        if (byte < 0x80 || byte > 0xF4) {
            return 0;
        }
        if (byte >= 0xC0) {
            const size_t whole = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
            return size < whole ? size : 0;
        }
    }
    return 0;
}

} // namespace

Output::Output() {
    if (is_unwritable(stdout)) {
        fail();
    }
    set_binary_mode(stdout); // Windows would replace each \n by \r\n
}

void Output::write(const std::string &text) {
    if (text.empty()) {
        return;
    }
    std::string bytes = partial + text;
    const size_t size = bytes.size() - unfinished_size(bytes);
    partial = bytes.substr(size);
    bytes.resize(size);
    if (std::fwrite(bytes.data(), 1, size, stdout) != size || std::fflush(stdout) != 0) {
        fail();
    }
    if (size > 0) {
        ends_line = bytes.back() == '\n';
    }
}

void Output::finish() {
    const std::string rest = partial;
    partial.clear();
    const bool newline = !ends_line || !rest.empty();
    if (std::fwrite(rest.data(), 1, rest.size(), stdout) != rest.size() ||
        (newline && std::fputc('\n', stdout) == EOF) || std::fflush(stdout) != 0) {
        fail();
    }
    ends_line = true;
}

void Output::line_was_entered() {
    ends_line = true;
}
