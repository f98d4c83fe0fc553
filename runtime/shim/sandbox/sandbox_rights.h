// What the program may still do, and how the system is made to refuse everything else.
//
// Each system has its own file: sandbox_landlock.cpp and sandbox_seccomp.cpp on Linux, sandbox_elsewhere.cpp on others.

#pragma once

#include <string>
#include <vector>

struct Rights {
    bool read_files = false;  // open files for reading
    bool write_files = false; // create, write, rename and remove files
    bool listen = false;      // make sockets, bind them, listen
    bool serve = false;       // accept and answer connections
    bool connect = false;     // make TCP connections, to `port` alone where the system can tell
    bool resolve = false;     // ask name servers
    bool tighten = false;     // give up more rights later

    int port = 0;
    std::vector<std::string> readable; // what can be opened, with everything below it, as far as the system can tell
    std::vector<std::string> writable;
};

enum class Confinement {
    FULL,
    WEAKER, // `weakness` says in what
    NONE,   // `weakness` says why
};

// Limits this thread and those it will start to the paths and the port of RIGHTS.
Confinement confine_paths(const Rights &rights, std::string &weakness);

// Limits the whole program, threads that run already included, to the system calls that RIGHTS need.
Confinement confine_calls(const Rights &rights, std::string &weakness);
