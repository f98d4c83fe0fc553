// Limits of the process that the system enforces: landlock_linux.cpp and seccomp_linux.cpp, pledge_openbsd.cpp, and
// no_confinement.cpp on other systems.

#pragma once

#include <string>
#include <vector>

struct Rights {
    bool read_files = false;  // open files for reading
    bool write_files = false; // create, write, rename and remove files
    bool keep_files = false;  // write, lock and shorten files that are open already
    bool listen = false;      // make sockets, bind them, listen
    bool serve = false;       // accept and answer connections
    bool connect = false;     // make TCP connections, only to `port` if the system distinguishes ports
    bool resolve = false;     // query name servers
    bool tighten = false;     // reduce the rights again later
    bool drive = false;       // map code and control devices, as drivers do
    bool spawn = false;       // start the programs in `executable`, which inherit these rights, and connect to any port

    int port = 0;
    std::vector<std::string> readable; // files and folders, with all below them, if the system distinguishes paths
    std::vector<std::string> writable;
    std::vector<std::string> executable;
    std::vector<std::string> devices; // that drivers control
    std::vector<std::string> caches;  // folders in which drivers make files and folders
};

struct Confinement {
    enum class Strength { FULL, WEAKER, NONE };

    Strength strength = Strength::FULL;
    std::string weakness; // what is not enforced, or why nothing is
};

// Limits this thread and its future threads to the paths and the port of RIGHTS.
Confinement confine_paths(const Rights &rights);

// Limits the whole process, including its running threads, to the system calls that RIGHTS need.
Confinement confine_calls(const Rights &rights);
