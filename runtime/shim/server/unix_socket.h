// The files of Unix sockets: servers that have ended leave them, and the system does not listen on an existing file.

#pragma once

#include <string>
#include <vector>

class UnixSockets {
  public:
    // Makes the files PATHS free for this server: removes sockets on which no server listens. Throws UserError if a
    // server listens on one of them, if one is no socket, or if the system refuses to create one there.
    //
    // Also starts the helper process that removes the sockets at the end of this one, whatever ends it: its sandbox
    // removes no files. Must be called while the process is unconfined and has one thread.
    void claim(const std::vector<std::string> &paths);

    // Waits until the helper has removed the sockets of this process, which no longer listens on them.
    void release();

  private:
    [[maybe_unused]] int helper = -1; // the connection to the helper process, on POSIX systems
};
