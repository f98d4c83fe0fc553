#include "server/browser.h"

#include "base/environment.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ; // macOS and the BSDs declare it in no header

namespace {

#ifdef __APPLE__
constexpr const char OPENER[] = "open";
#else
constexpr const char OPENER[] = "xdg-open";
#endif

constexpr int PATIENCE_SECONDS = 3;
constexpr int TRIES_A_SECOND = 20;

// Without a screen, xdg-open would start a text browser in this terminal.
bool has_screen() {
#ifdef __APPLE__
    return true;
#else
    const auto names = {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME"};
    return std::any_of(names.begin(), names.end(), [](const char *name) { return !variable(name).empty(); });
#endif
}

// Starts it in its own process group, so that Control-C ends the server but not the browser.
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
            // Not the process group: xdg-open may wait for a browser that it has started, which must stay.
            kill(opener, SIGKILL);
            waitpid(opener, &status, 0);
            report_browser_failure(std::string("'") + OPENER + "' had not returned after 3 seconds and was ended", url);
            return;
        }
        usleep(1000000 / TRIES_A_SECOND);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        report_browser_failure(std::string("'") + OPENER + "' could not open a browser (" +
                                   (WIFEXITED(status) ? "status " + std::to_string(WEXITSTATUS(status))
                                                      : "signal " + std::to_string(WTERMSIG(status))) +
                                   ")",
                               url);
    }
}

// The helper process: waits for a URL, and opens it. The pipe is empty if the server ends before it has an address.
void run_helper(int pipe_end) {
    setpgid(0, 0);
    std::string url;
    std::array<char, 256> bytes{};
    ssize_t size = 0;
    while ((size = read(pipe_end, bytes.data(), bytes.size())) > 0) {
        url.append(bytes.data(), static_cast<size_t>(size));
    }
    if (url.empty()) {
        return;
    }
    pid_t opener = -1;
    const int failure = start_opener(url, opener);
    if (failure != 0) {
        report_browser_failure(std::string("cannot run '") + OPENER + "': " + std::strerror(failure), url);
        return;
    }
    wait_for_opener(opener, url);
}

} // namespace

void Browser::prepare() {
    int ends[2];
    if (!has_screen() || pipe(ends) != 0) {
        return;
    }
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    const pid_t child = fork();
    if (child == 0) {
        // The helper is a grandchild, whose parent ends at once, so that the server need not wait for it.
        if (fork() == 0) {
            close(ends[1]);
            run_helper(ends[0]);
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
    helper = ends[1];
    is_prepared = true;
}

void Browser::open_page(const std::string &url) {
    // A URL is shorter than a pipe's buffer, and the server ignores SIGPIPE if the helper has ended.
    const ssize_t written = write(helper, url.data(), url.size());
    static_cast<void>(written);
    close(helper);
    helper = -1;
}
