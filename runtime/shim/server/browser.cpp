#include "server/browser.h"

#include "base/message.h"

#include <string>

#ifdef _WIN32
#include <windows.h>

#include <shellapi.h>
#include <thread>
#else
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ; // not all systems declare it
#endif

namespace {

// An address to listen on is not always one to visit.
std::string visitable(const std::string &address) {
    for (const std::string any : {"://0.0.0.0", "://[::]"}) {
        const size_t at = address.find(any);
        if (at != std::string::npos) {
            return address.substr(0, at) + "://127.0.0.1" + address.substr(at + any.size());
        }
    }
    return address;
}

void say_failure(const std::string &what, const std::string &url) {
    complain(what + "; open " + url + " yourself (--nobrowser: do not try)");
}

#ifdef _WIN32

bool prepared = false;

void open_page(const std::string &url) {
    // In a thread, for it may take its time.
    std::thread([url] {
        const std::wstring wide(url.begin(), url.end());
        const auto answer =
            reinterpret_cast<INT_PTR>(ShellExecuteW(nullptr, L"open", wide.c_str(), nullptr, nullptr, SW_SHOWNORMAL));
        if (answer <= 32) {
            say_failure("Windows cannot open a browser (error " + std::to_string(answer) + ")", url);
        }
    }).detach();
}

#else

#ifdef __APPLE__
constexpr const char OPENER[] = "open";
#else
constexpr const char OPENER[] = "xdg-open";
#endif

constexpr int PATIENCE_SECONDS = 3;
constexpr int TRIES_A_SECOND = 20;

int to_helper = -1;

// Without a screen, xdg-open would start a browser for terminals in this one.
bool has_screen() {
#ifdef __APPLE__
    return true;
#else
    for (const char *name : {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME"}) {
        const char *value = std::getenv(name);
        if (value != nullptr && *value != '\0') {
            return true;
        }
    }
    return false;
#endif
}

// In a process group of its own: Ctrl-C ends the server, not the browser.
int start_opener(const std::string &url, pid_t &opener) {
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawn_file_actions_init(&actions);
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_RDWR, 0);
    }
    std::string name = OPENER;
    std::string argument = url;
    const std::array<char *, 3> arguments = {name.data(), argument.data(), nullptr};
    const int failure = posix_spawnp(&opener, OPENER, &actions, &attributes, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return failure;
}

void wait_for_opener(pid_t opener, const std::string &url) {
    int status = 0;
    for (int tries = PATIENCE_SECONDS * TRIES_A_SECOND; waitpid(opener, &status, WNOHANG) == 0; --tries) {
        if (tries == 0) {
            // Not the group: where xdg-open waits for a browser that it has started, that browser is to stay.
            kill(opener, SIGKILL);
            waitpid(opener, &status, 0);
            say_failure(std::string("'") + OPENER + "' had not returned after 3 seconds and was ended", url);
            return;
        }
        usleep(1000000 / TRIES_A_SECOND);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        say_failure(std::string("'") + OPENER + "' could not open a browser (" +
                        (WIFEXITED(status) ? "status " + std::to_string(WEXITSTATUS(status))
                                           : "signal " + std::to_string(WTERMSIG(status))) +
                        ")",
                    url);
    }
}

// Waits for an address; gets none if the server ends before it has one.
void help(int from_server) {
    setpgid(0, 0);
    std::string url;
    std::array<char, 256> bytes{};
    ssize_t size = 0;
    while ((size = read(from_server, bytes.data(), bytes.size())) > 0) {
        url.append(bytes.data(), static_cast<size_t>(size));
    }
    if (url.empty()) {
        return;
    }
    pid_t opener = -1;
    const int failure = start_opener(url, opener);
    if (failure != 0) {
        say_failure(std::string("cannot run '") + OPENER + "': " + std::strerror(failure), url);
        return;
    }
    wait_for_opener(opener, url);
}

void open_page(const std::string &url) {
    // Shorter than a pipe's buffer. A helper that somebody ended is nobody's loss; SIGPIPE is ignored by the server.
    const ssize_t written = write(to_helper, url.data(), url.size());
    static_cast<void>(written);
    close(to_helper);
    to_helper = -1;
}

#endif

} // namespace

#ifdef _WIN32

void prepare_browser() {
    prepared = true;
}

#else

void prepare_browser() {
    int ends[2];
    if (!has_screen() || pipe(ends) != 0) {
        return;
    }
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    const pid_t child = fork();
    if (child == 0) {
        // The helper is its child, so that nobody has to wait for it.
        if (fork() == 0) {
            close(ends[1]);
            help(ends[0]);
        }
        _exit(0);
    }
    close(ends[0]);
    if (child < 0) {
        close(ends[1]);
        return;
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    to_helper = ends[1];
}

#endif

void open_browser(const std::string &address, const std::string &path) {
#ifdef _WIN32
    const bool wanted = prepared;
    prepared = false;
#else
    const bool wanted = to_helper >= 0;
#endif
    if (wanted && address.rfind("http", 0) == 0) {
        open_page(visitable(address) + path);
    }
}
