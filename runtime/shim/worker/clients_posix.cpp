#include "worker/clients.h"

#include "base/message.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif

namespace {

// A program that has ended may be followed by the next one at once, before its memory is free here.
constexpr int FOLLOWS_WITHIN = 5000; // milliseconds

volatile sig_atomic_t served_process = 0;

// Ends the child too, and as the first process of a container, which no signal ends by default.
void end_at_once(int) {
    if (served_process > 0) {
        kill(served_process, SIGKILL);
    }
    _exit(0);
}

void become_child() {
    std::signal(SIGTERM, SIG_DFL);
    std::signal(SIGINT, SIG_DFL);
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
}

// The process that serves a client. Its end is the end of a pipe, so that one call waits for it and for visitors.
class Child {
  public:
    bool is_running() const { return process > 0; }

    void start(Listener &listener, const Visitor &client, const ServeClient &serve) {
        int ends[2];
        if (pipe(ends) != 0) {
            log_line("cannot serve " + client.name + ": " + std::strerror(errno));
            return;
        }
        name = client.name;
        process = fork();
        if (process == 0) {
            close(ends[0]);
            listener.close();
            become_child();
            const std::string remark = serve(client);
            if (!remark.empty()) {
                log_line(remark);
            }
            std::_Exit(0);
        }
        served_process = process;
        close(ends[1]);
        end = ends[0];
        if (process < 0) {
            log_line("cannot serve " + client.name + ": " + std::strerror(errno));
            close(end);
        }
    }

    pollfd waiting() const { return {process > 0 ? end : -1, POLLIN, 0}; }

    // Collects a child that ends within so many MILLISECONDS; false if it goes on.
    bool ends_within(int milliseconds) {
        pollfd one = waiting();
        if (poll(&one, 1, milliseconds) <= 0) {
            return false;
        }
        collect();
        return true;
    }

    void collect() {
        int status = 0;
        while (waitpid(process, &status, 0) < 0 && errno == EINTR) {
        }
        close(end);
        process = -1;
        served_process = 0;
        if (WIFSIGNALED(status)) {
            log_line("the process that served " + name + " ended by signal " + std::to_string(WTERMSIG(status)) +
                     "; the next program can connect");
        }
    }

  private:
    pid_t process = -1;
    int end = -1;
    std::string name;
};

void serve_here(const Visitor &client, const ServeClient &serve) {
    const std::string remark = serve(client);
    if (!remark.empty()) {
        log_line(remark);
    }
}

} // namespace

void serve_clients(Listener &listener, bool is_apart, const AcceptVisitor &accepts, const ServeClient &serve) {
    std::signal(SIGTERM, end_at_once);
    std::signal(SIGINT, end_at_once);
    Child child;
    for (;;) {
        pollfd waiting[] = {{static_cast<int>(listener.socket()), POLLIN, 0}, child.waiting()};
        if (poll(waiting, 2, -1) < 0 && errno != EINTR) {
            throw NetworkError(std::strerror(errno));
        }
        if ((waiting[1].revents & (POLLIN | POLLHUP)) != 0) {
            child.collect();
        }
        if ((waiting[0].revents & POLLIN) == 0) {
            continue;
        }
        const std::optional<Visitor> visitor = listener.accept();
        if (!visitor || !accepts(*visitor)) {
            continue;
        }
        if (child.is_running() && !child.ends_within(FOLLOWS_WITHIN)) {
            log_line(visitor->name + " must wait: this worker serves one program at a time");
        } else if (is_apart) {
            child.start(listener, *visitor, serve);
        } else {
            serve_here(*visitor, serve);
        }
    }
}
