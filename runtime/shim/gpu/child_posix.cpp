#include "gpu/child.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

extern char **environ; // macOS and the BSDs declare it in no header

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char NOTHING[] = "/dev/null";
constexpr size_t LARGEST_OUTPUT = 1 << 20;
constexpr std::chrono::milliseconds AFTER_KILL{1000}; // a driver may keep a killed process in the kernel

class Pipe {
  public:
    Pipe() {
        if (pipe(ends.data()) != 0) {
            ends = {-1, -1};
        }
        for (const int end : ends) {
            fcntl(end, F_SETFD, FD_CLOEXEC);
        }
    }

    Pipe(const Pipe &) = delete;
    Pipe &operator=(const Pipe &) = delete;

    ~Pipe() {
        close(ends[0]);
        close_writer();
    }

    void close_writer() {
        if (ends[1] >= 0) {
            close(ends[1]);
            ends[1] = -1;
        }
    }

    int reader() const { return ends[0]; }
    int writer() const { return ends[1]; }

  private:
    std::array<int, 2> ends{-1, -1};
};

int spawn(pid_t &child, const std::string &program, const Pipe &output, const Pipe &errors) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (access(NOTHING, R_OK) == 0) { // a container may have no /dev
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, NOTHING, O_RDONLY, 0);
    }
    posix_spawn_file_actions_adddup2(&actions, output.writer(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, errors.writer(), STDERR_FILENO);
    std::string name = program;
    char *arguments[] = {name.data(), nullptr};
    const int error = posix_spawn(&child, program.c_str(), &actions, nullptr, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

// False at the end of PIPE.
bool read_some(const pollfd &pipe, std::string &text) {
    std::array<char, 4096> buffer{};
    const ssize_t size = read(pipe.fd, buffer.data(), buffer.size());
    if (size > 0 && text.size() < LARGEST_OUTPUT) {
        text.append(buffer.data(), static_cast<size_t>(size));
    }
    return size > 0 || (size < 0 && errno == EINTR);
}

// False if DEADLINE passed first.
bool read_both(const Pipe &output, const Pipe &errors, Clock::time_point deadline, ChildResult &result) {
    std::array<pollfd, 2> pipes = {pollfd{output.reader(), POLLIN, 0}, pollfd{errors.reader(), POLLIN, 0}};
    while (pipes[0].fd >= 0 || pipes[1].fd >= 0) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
        if (left <= 0) {
            return false;
        }
        if (poll(pipes.data(), pipes.size(), static_cast<int>(left)) < 0 && errno != EINTR) {
            return false;
        }
        for (size_t i = 0; i < pipes.size(); ++i) {
            if (pipes[i].revents != 0 && !read_some(pipes[i], i == 0 ? result.output : result.errors)) {
                pipes[i].fd = -1; // poll() skips it
            }
            pipes[i].revents = 0;
        }
    }
    return true;
}

bool wait_until(pid_t child, Clock::time_point deadline, int &status) {
    for (;;) {
        const pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended == child || (ended < 0 && errno != EINTR)) {
            return ended == child;
        }
        if (Clock::now() >= deadline) {
            return false;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
}

} // namespace

ChildResult run_child(const std::string &program, int limit) {
    ChildResult result;
    Pipe output;
    Pipe errors;
    pid_t child = 0;
    result.status = spawn(child, program, output, errors);
    if (result.status != 0) {
        return result;
    }
    output.close_writer();
    errors.close_writer();
    const auto deadline = Clock::now() + std::chrono::seconds(limit);
    int status = 0;
    const bool is_read = read_both(output, errors, deadline, result);
    if (!is_read || !wait_until(child, deadline, status)) {
        kill(child, SIGKILL);
        wait_until(child, Clock::now() + AFTER_KILL, status);
        result.end = ChildResult::End::TIMED_OUT;
    } else if (WIFEXITED(status)) {
        result.end = ChildResult::End::EXITED;
        result.status = WEXITSTATUS(status);
    } else {
        result.end = ChildResult::End::CRASHED;
        result.status = WTERMSIG(status);
    }
    return result;
}
