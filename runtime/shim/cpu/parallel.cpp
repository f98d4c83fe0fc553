#include "hooks/hooks.h"

#include <thread>
#include <vector>

void llamafile_in_parallel(int parts, const void *task, void (*run)(const void *task, int part, int parts)) {
    std::vector<std::thread> threads;
    for (int part = 1; part < parts; ++part) {
        threads.emplace_back(run, task, part, parts);
    }
    run(task, 0, parts);
    for (std::thread &thread : threads) {
        thread.join();
    }
}
