#include "prompts/writer.h"

#include "base/message.h"

#include <system_error>

namespace {

std::string in_mebibytes(size_t size) {
    return std::to_string((size + (1U << 20U) - 1) >> 20U) + " MiB";
}

} // namespace

void StateWriter::hold(int sequence, PromptState state) {
    const std::scoped_lock lock(mutex);
    size_in_memory += state.size() - held[sequence].size();
    held[sequence] = std::move(state);
}

void StateWriter::answer_ended(int sequence) {
    const std::scoped_lock lock(mutex);
    const auto found = held.find(sequence);
    if (found == held.end()) {
        return;
    }
    ready.push_back(std::move(found->second));
    held.erase(found);
    if (!thread.joinable()) {
        try {
            thread = std::thread([this] { run(); });
        } catch (const std::system_error &) { // there is no thread for it
            size_in_memory -= ready.back().size();
            ready.pop_back();
        }
    }
    change.notify_one();
}

size_t StateWriter::held_size() {
    const std::scoped_lock lock(mutex);
    return size_in_memory;
}

void StateWriter::run() {
    std::unique_lock lock(mutex);
    for (;;) {
        change.wait(lock, [this] { return is_ending || !ready.empty(); });
        if (ready.empty()) {
            return;
        }
        const PromptState state = std::move(ready.front());
        ready.pop_front();
        lock.unlock();
        const bool is_written = store.write(state);
        if (is_written && !has_said_where) {
            has_said_where = true;
            log_line("the state of the system prompt, " + in_mebibytes(state.size()) + ", is kept in '" + store.path() +
                     "' for the next start; --cache-disk 0 turns that off");
        }
        lock.lock();
        size_in_memory -= state.size();
    }
}

void StateWriter::finish() {
    {
        const std::scoped_lock lock(mutex);
        is_ending = true;
        change.notify_one();
    }
    if (thread.joinable()) {
        thread.join();
    }
}
