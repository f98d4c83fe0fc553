// `sizes` allocates objects of many sizes; `threads COUNT TEXTS` lets each of COUNT threads release TEXTS texts that
// the first thread allocates, and prints the resident KiB after a quarter of them and at the end.

#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t WAITING_MAX = 4;
constexpr int PART = 4;

class Queue {
  public:
    void push(std::string *text) {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return texts.size() < WAITING_MAX; });
        texts.push_back(text);
        changed.notify_all();
    }
    std::string *pop() {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return !texts.empty(); });
        std::string *text = texts.front();
        texts.pop_front();
        changed.notify_all();
        return text;
    }

  private:
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::string *> texts;
};

void release(Queue &queue) {
    while (std::string *text = queue.pop()) {
        const std::string copy = *text + ".";
        delete text;
    }
}

long resident_kib() {
    long all = 0, resident = 0;
    std::FILE *file = std::fopen("/proc/self/statm", "r");
    if (file == nullptr || std::fscanf(file, "%ld %ld", &all, &resident) != 2) {
        std::abort();
    }
    std::fclose(file);
    return resident * 4;
}

int with_threads(int count, int each) {
    std::vector<Queue> queues(static_cast<std::size_t>(count));
    std::vector<std::thread> threads;
    for (Queue &queue : queues) {
        threads.emplace_back(release, std::ref(queue));
    }
    for (int number = 0; number < each; number++) {
        for (Queue &queue : queues) {
            queue.push(new std::string(100 + static_cast<std::size_t>(number) * 37 % 400, 'x'));
        }
        if (number == each / PART) {
            std::printf("%ld\n", resident_kib());
        }
    }
    for (Queue &queue : queues) {
        queue.push(nullptr);
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    std::printf("%ld\n", resident_kib());
    return 0;
}

bool is_whole(const char *object, std::size_t size, char mark) {
    for (std::size_t i = 0; i < size; i++) {
        if (object[i] != mark) {
            return false;
        }
    }
    return reinterpret_cast<std::uintptr_t>(object) % alignof(std::max_align_t) == 0;
}

// Objects of all sizes around powers of two, twice, so that the second ones are where the first ones were.
int with_sizes() {
    std::vector<std::size_t> sizes = {0};
    for (std::size_t power = 1; power <= std::size_t{1} << 20; power *= 2) {
        for (std::size_t less = 0; less < 34 && less < power; less++) {
            sizes.push_back(power - less);
        }
    }
    for (int turn = 0; turn < 2; turn++) {
        std::vector<char *> objects;
        for (std::size_t number = 0; number < sizes.size(); number++) {
            objects.push_back(new char[sizes[number]]);
            std::memset(objects.back(), static_cast<char>(number), sizes[number]);
        }
        for (std::size_t number = 0; number < sizes.size(); number++) {
            if (!is_whole(objects[number], sizes[number], static_cast<char>(number))) {
                std::printf("an object of %zu bytes was overwritten, or is not aligned\n", sizes[number]);
                return 1;
            }
            delete[] objects[number];
        }
    }
    struct alignas(256) Aligned {
        char bytes[256];
    };
    const auto *aligned = new Aligned;
    const bool is_aligned = reinterpret_cast<std::uintptr_t>(aligned) % alignof(Aligned) == 0;
    delete aligned;
    for (const std::size_t size : {SIZE_MAX, SIZE_MAX / 4}) {
        if (operator new(size, std::nothrow) != nullptr) {
            std::puts("more was allocated than there is");
            return 1;
        }
    }
    std::puts(is_aligned ? "whole" : "not aligned");
    return 0;
}

} // namespace

int main(int argc, char **argv) {
    return argc == 4 ? with_threads(std::atoi(argv[2]), std::atoi(argv[3])) : with_sizes();
}
