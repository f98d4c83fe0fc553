#include "base/message.h"

#include "base/file.h"
#include "base/text.h"

#include <cerrno>
#include <cstdio>

void log_line(const std::string &sentence) {
    // Sentences quote names and text of others, whose control characters must not reach a terminal. One call writes the
    // line, past the buffer, which may contain the beginning of a line of the engine's.
    const std::string line = "llamafile: " + escape_controls(sentence) + "\n";
    size_t done = 0;
    while (done < line.size()) {
        const std::ptrdiff_t written = write_to(STANDARD_ERROR_DESCRIPTOR, line.data() + done, line.size() - done);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return; // no other place is left for messages
        }
        done += static_cast<size_t>(written);
    }
}

void buffer_errors_by_line() {
#ifndef _WIN32 // whose C library cannot buffer by line
    static char buffer[BUFSIZ];
    std::setvbuf(stderr, buffer, _IOLBF, sizeof buffer);
#endif
}
