// Systems other than Linux: pledge(2) on OpenBSD, nothing on the rest.

#ifndef __linux__

#include "sandbox/sandbox_rights.h"

#ifdef __OpenBSD__

#include <cerrno>
#include <cstring>
#include <unistd.h>

Confinement confine_paths(const Rights &, std::string &) {
    return Confinement::FULL; // the promises below are all there is here
}

Confinement confine_calls(const Rights &rights, std::string &weakness) {
    // `inet` includes connecting; `error` makes a broken promise an error instead of an end.
    std::string promises = "error stdio";
    promises += rights.read_files ? " rpath" : "";
    promises += rights.write_files ? " wpath cpath tty" : "";
    promises += rights.listen || rights.serve || rights.connect ? " inet" : "";
    promises += rights.listen ? " unix" : "";
    promises += rights.resolve ? " dns" : "";
    if (pledge(promises.c_str(), nullptr) == 0) {
        return Confinement::FULL;
    }
    weakness = std::string("pledge: ") + std::strerror(errno);
    return Confinement::NONE;
}

#else

// One of the two complains, or the user would be told twice.
Confinement confine_paths(const Rights &, std::string &) {
    return Confinement::FULL;
}

Confinement confine_calls(const Rights &, std::string &weakness) {
    weakness = "this system has no sandbox that llamafile knows";
    return Confinement::NONE;
}

#endif

#endif
