#include "sandbox/confinement.h"

#include <cerrno>
#include <cstring>
#include <unistd.h>

Confinement confine_paths(const Rights &) {
    return {}; // confine_calls() does everything
}

Confinement confine_calls(const Rights &rights) {
    // `inet` includes connecting; `error` turns a violation into an error instead of a crash.
    std::string promises = "error stdio";
    promises += rights.read_files ? " rpath" : "";
    promises += rights.write_files ? " wpath cpath tty" : "";
    promises += rights.keep_files ? " flock" : "";
    promises += rights.listen || rights.serve || rights.connect ? " inet" : "";
    promises += rights.listen ? " unix" : "";
    promises += rights.resolve ? " dns" : "";
    promises += rights.spawn ? " proc exec" : "";
    if (pledge(promises.c_str(), nullptr) == 0) {
        return {};
    }
    return {Confinement::Strength::NONE, std::string("pledge: ") + std::strerror(errno)};
}
