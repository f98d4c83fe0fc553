#include "roofline/measurement.h"

#include "base/memory.h"
#include "base/user_error.h"
#include "cpu/cache_size.h"
#include "hooks/hooks.h"
#include "roofline/team.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <new>
#include <string>

namespace {

constexpr uint64_t MIB = 1 << 20;
constexpr uint64_t LEAST_READ = 1024 * MIB, MOST_READ = 4096 * MIB, LEAST_MEASURABLE = 64 * MIB;
constexpr uint64_t CACHES_READ = 4, PART_OF_MEMORY = 4;
constexpr std::align_val_t HUGE_PAGE{2 * MIB};
constexpr double GIGA = 1e9;

// Short, so that some of them are not interrupted by other work of the machine.
constexpr double SLICE_SECONDS = 0.003;
constexpr int SLICES = 25;
constexpr uint64_t FIRST_STEPS = 64;
constexpr double READ_SECONDS = 0.5; // for each number of threads
constexpr size_t READS_MIN = 4, READS_MAX = 20;

struct Release {
    void operator()(char *memory) const { ::operator delete(memory, HUGE_PAGE); }
};

using Memory = std::unique_ptr<char, Release>;

Memory allocate(uint64_t size) {
    Memory memory(static_cast<char *>(::operator new(size, HUGE_PAGE, std::nothrow)));
    if (!memory) {
        throw UserError("this system does not give the program " + std::to_string(size / MIB) +
                        " MiB of memory to read from");
    }
    llamafile_prefer_huge_pages(memory.get(), size);
    return memory;
}

// The offset of PART of PARTS of SIZE bytes.
uint64_t offset_of(int part, int parts, uint64_t size) {
    return size / READ_UNIT * static_cast<uint64_t>(part) / static_cast<uint64_t>(parts) * READ_UNIT;
}

Rates summary(int threads, std::vector<double> rates) {
    std::sort(rates.begin(), rates.end());
    return {threads, rates.back(), rates[rates.size() / 2]};
}

Rates read_rate(const char *memory, uint64_t size, const std::vector<Reader> &readers, int threads) {
    Team team(threads);
    std::vector<double> rates;
    double total = 0;
    while (rates.size() < READS_MIN || (total < READ_SECONDS && rates.size() < READS_MAX)) {
        const Reader reader = readers[rates.size() % readers.size()];
        const double seconds = team.run([=](int part) {
            const uint64_t begin = offset_of(part, threads, size);
            reader(memory + begin, offset_of(part + 1, threads, size) - begin);
        });
        rates.push_back(static_cast<double>(size) / seconds / GIGA);
        total += seconds;
    }
    return summary(threads, rates);
}

// The number of steps that take a slice's time.
uint64_t steps_of_slice(const Instructions &instructions) {
    Team alone(1);
    uint64_t steps = FIRST_STEPS;
    while (alone.run([&](int) { instructions.run(steps); }) < SLICE_SECONDS) {
        steps *= 2;
    }
    return steps;
}

} // namespace

uint64_t memory_to_read() {
    const uint64_t wanted = std::clamp(CACHES_READ * largest_cache(), LEAST_READ, MOST_READ);
    const uint64_t size = std::min(wanted, available_memory() / PART_OF_MEMORY) / MIB * MIB;
    if (size < LEAST_MEASURABLE) {
        throw UserError("only " + std::to_string(available_memory() / MIB) +
                        " MiB of memory are available; --roofline needs " +
                        std::to_string(LEAST_MEASURABLE * PART_OF_MEMORY / MIB));
    }
    return size;
}

std::vector<Rates> read_rates(uint64_t size, const std::vector<Reader> &readers, const std::vector<int> &threads) {
    const Memory memory = allocate(size);
    const int most = *std::max_element(threads.begin(), threads.end());
    // Written by all threads, so that on a machine with several memories each has its share; zeros might be one page.
    Team(most).run([&](int part) {
        const uint64_t begin = offset_of(part, most, size);
        std::memset(memory.get() + begin, 1, offset_of(part + 1, most, size) - begin);
    });
    std::vector<Rates> rates;
    rates.reserve(threads.size());
    for (const int count : threads) {
        rates.push_back(read_rate(memory.get(), size, readers, count));
    }
    return rates;
}

std::vector<Rates> operation_rates(const Instructions &instructions, const std::vector<int> &threads) {
    const uint64_t steps = steps_of_slice(instructions);
    std::vector<Rates> found;
    for (const int count : threads) {
        Team team(count);
        std::vector<double> rates;
        for (int slice = 0; slice < SLICES; ++slice) {
            const double seconds = team.run([&](int) { instructions.run(steps); });
            rates.push_back(instructions.operations * static_cast<double>(steps) * count / seconds / GIGA);
        }
        found.push_back(summary(count, rates));
    }
    return found;
}
