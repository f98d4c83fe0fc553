#include "base/message.h"

#include <cerrno>
#include <cstdio>

#ifdef _WIN32
#include <io.h>
#define write _write
#else
#include <unistd.h>
#endif

namespace {

constexpr int STANDARD_ERROR = 2;

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
    // One call, and past the buffer, where a line of the engine's may have begun.
    const std::string line = "llamafile: " + printable(sentence) + "\n";
    size_t done = 0;
    while (done < line.size()) {
        const auto written = write(STANDARD_ERROR, line.data() + done, static_cast<unsigned>(line.size() - done));
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return; // nobody can be told
        }
        done += static_cast<size_t>(written);
    }
}

void keep_lines_whole() {
#ifndef _WIN32 // which has no such buffers
    static char buffer[BUFSIZ];
    std::setvbuf(stderr, buffer, _IOLBF, sizeof buffer);
#endif
}
