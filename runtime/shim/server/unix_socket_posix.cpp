#include "server/unix_socket.h"

#include "base/user_error.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr int FIRST_DESCRIPTOR = 3;
constexpr int LAST_DESCRIPTOR = 255; // few are open when the process begins
constexpr int TRIES = 40;
constexpr useconds_t PAUSE_MICROSECONDS = 50000;

[[noreturn]] void fail(const std::string &path, const std::string &reason) {
    throw UserError("cannot listen on '" + path + "': " + reason);
}

sockaddr_un address_of(const std::string &path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const size_t size_max = sizeof address.sun_path - 1;
    if (path.size() > size_max) {
        fail(path, "the path of a socket has at most " + std::to_string(size_max) + " bytes on this system, and this " +
                       std::to_string(path.size()));
    }
    std::copy(path.begin(), path.end(), address.sun_path);
    return address;
}

// Calls OPERATION, bind() or connect(), with a new socket and the address PATH. Returns its error, or 0.
template <typename Operation> int try_socket(Operation operation, const std::string &path) {
    const sockaddr_un address = address_of(path);
    const int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    if (descriptor < 0) {
        return errno;
    }
    fcntl(descriptor, F_SETFL, O_NONBLOCK); // a server that hangs accepts no connection
    const int error =
        operation(descriptor, reinterpret_cast<const sockaddr *>(&address), socklen_t{sizeof address}) == 0 ? 0 : errno;
    close(descriptor);
    return error;
}

// Removes the socket PATH if no server listens on it. Returns the error of connecting to it, 0 if one listens.
int remove_if_stale(const std::string &path) {
    struct stat before = {};
    struct stat after = {};
    if (lstat(path.c_str(), &before) != 0 || !S_ISSOCK(before.st_mode)) {
        return ENOENT;
    }
    const int error = try_socket(connect, path);
    // Not one that another server has created meanwhile.
    if (error == ECONNREFUSED && lstat(path.c_str(), &after) == 0 && after.st_ino == before.st_ino &&
        after.st_dev == before.st_dev) {
        unlink(path.c_str());
    }
    return error;
}

void claim_path(const std::string &path) {
    struct stat status = {};
    const bool exists = lstat(path.c_str(), &status) == 0;
    if (exists && !S_ISSOCK(status.st_mode)) {
        fail(path, "there is a file of this name, which is no socket; remove it, or choose another name with --host");
    }
    const int connection = exists ? remove_if_stale(path) : ENOENT;
    if (connection == 0 || connection == EAGAIN) {
        fail(path, "another server listens there; end it, or choose another name with --host");
    }
    const int error = try_socket(bind, path);
    if (error == 0) {
        unlink(path.c_str());
    } else if (error == EADDRINUSE) {
        fail(path, std::string("the socket of an earlier server is there, and cannot be removed: ") +
                       std::strerror(connection == ECONNREFUSED ? EACCES : connection));
    } else {
        fail(path, std::strerror(error));
    }
}

// The helper process: waits for the end of the server, which closes the connection.
void run_helper(int connection, const std::vector<std::string> &paths) {
    setpgid(0, 0); // Control-C ends the server only
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        std::signal(signal, SIG_IGN); // a service manager may send it to all processes of the service
    }
    for (int descriptor = FIRST_DESCRIPTOR; descriptor <= LAST_DESCRIPTOR; ++descriptor) {
        if (descriptor != connection) {
            close(descriptor); // above all, those whose end other processes wait for
        }
    }
    char byte = 0;
    while (read(connection, &byte, 1) < 0 && errno == EINTR) {
    }
    for (const std::string &path : paths) {
        // The kernel closes the sockets of an ended process one after another.
        for (int tries = 0; tries < TRIES && remove_if_stale(path) == 0; ++tries) {
            usleep(PAUSE_MICROSECONDS);
        }
    }
}

} // namespace

void UnixSockets::claim(const std::vector<std::string> &paths) {
    int ends[2];
    for (const std::string &path : paths) {
        claim_path(path);
    }
    if (helper >= 0 || paths.empty() || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        return; // without a helper, the next server removes the sockets
    }
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    const pid_t child = fork();
    if (child == 0) {
        // The helper is a grandchild, whose parent ends at once, so that the server need not wait for it.
        if (fork() == 0) {
            run_helper(ends[0], paths);
        }
        _exit(0);
    }
    close(ends[0]);
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    helper = ends[1];
}

void UnixSockets::release() {
    if (helper < 0) {
        return;
    }
    char byte = 0;
    shutdown(helper, SHUT_WR);
    while (read(helper, &byte, 1) < 0 && errno == EINTR) {
    }
    close(helper);
    helper = -1;
}
