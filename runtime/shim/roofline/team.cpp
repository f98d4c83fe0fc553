#include "roofline/team.h"

#include "base/user_error.h"

#include <algorithm>
#include <string>
#include <system_error>

Team::Team(int count) : spans(count) {
    try {
        for (int number = 1; number < count; ++number) {
            threads.emplace_back(&Team::work, this, number);
        }
    } catch (const std::system_error &) {
        dismiss();
        throw UserError("this system gives the program no " + std::to_string(count) +
                        " threads; -t takes a smaller number");
    }
}

Team::~Team() {
    dismiss();
}

double Team::run(const std::function<void(int)> &task) {
    current = &task;
    unfinished = static_cast<int>(threads.size());
    ++round;
    measure(0);
    while (unfinished > 0) {
        std::this_thread::yield();
    }
    const auto first =
        std::min_element(spans.begin(), spans.end(), [](const Span &a, const Span &b) { return a.begin < b.begin; });
    const auto last =
        std::max_element(spans.begin(), spans.end(), [](const Span &a, const Span &b) { return a.end < b.end; });
    return std::chrono::duration<double>(last->end - first->begin).count();
}

// Waits actively: a thread that sleeps would begin later than the others.
void Team::work(int number) {
    for (int seen = 0;;) {
        while (round == seen && !is_over) {
            std::this_thread::yield();
        }
        if (is_over) {
            return;
        }
        seen = round;
        measure(number);
        --unfinished;
    }
}

void Team::measure(int number) {
    spans[number].begin = Clock::now();
    (*current)(number);
    spans[number].end = Clock::now();
}

void Team::dismiss() {
    is_over = true;
    for (std::thread &thread : threads) {
        thread.join();
    }
    threads.clear();
}
