// Threads that do the same work at the same time, as those of the engine.

#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

class Team {
  public:
    // Throws UserError if the system gives no more threads.
    explicit Team(int threads);
    ~Team();
    Team(const Team &) = delete;
    Team &operator=(const Team &) = delete;

    // Calls TASK with 0 in this thread and with 1 to THREADS - 1 in the others, and returns the seconds from the first
    // beginning to the last end.
    double run(const std::function<void(int)> &task);

  private:
    using Clock = std::chrono::steady_clock;

    struct Span {
        Clock::time_point begin, end;
    };

    void work(int number);
    void measure(int number);
    void dismiss();

    std::vector<std::thread> threads;
    std::vector<Span> spans;
    const std::function<void(int)> *current = nullptr;
    std::atomic<int> round = 0, unfinished = 0;
    std::atomic<bool> is_over = false;
};
