#include "message.h"

#include <cstdio>

namespace {

// A sentence quotes what others wrote, which must not be able to do anything to a terminal.
std::string printable(const std::string &sentence) {
    std::string text;
    for (const char letter : sentence) {
        const auto byte = static_cast<unsigned char>(letter);
        char escaped[5];
        const bool is_control = (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f;
        std::snprintf(escaped, sizeof escaped, is_control ? "\\x%02x" : "%c", byte);
        text += escaped;
    }
    return text;
}

} // namespace

void complain(const std::string &sentence) {
    std::fprintf(stderr, "llamafile: %s\n", printable(sentence).c_str());
}
