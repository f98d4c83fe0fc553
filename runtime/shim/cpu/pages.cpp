// The pages of the engine's memory, on systems where it pays to have a say in them.

#include "hooks/hooks.h"

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

#include <cstdint>
#include <cstring>

namespace {

#ifdef __linux__
struct Range {
    char *begin, *end;
};

// The whole pages of MEMORY; none if it ends before it begins.
Range whole_pages(void *memory, std::size_t size) {
    const auto page_size = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
    const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(memory);
    return {reinterpret_cast<char *>((address + page_size - 1) / page_size * page_size),
            reinterpret_cast<char *>((address + size) / page_size * page_size)};
}

// Drops PAGES. False if they are locked in memory, or if only success was reported, as old versions of QEMU do.
bool drop(Range pages) {
    *pages.begin = 1;
    return madvise(pages.begin, pages.end - pages.begin, MADV_DONTNEED) == 0 && *pages.begin == 0;
}
#endif

} // namespace

// In pages of 2 MiB instead of 4 KiB, where systems provide these only on request: weights are read completely for
// every token, and page table walks take part of the time.
void llamafile_prefer_huge_pages([[maybe_unused]] void *memory, [[maybe_unused]] std::size_t size) {
#ifdef __linux__
    const Range pages = whole_pages(memory, size);
    if (memory != nullptr && pages.begin < pages.end) {
        // Fails on a kernel without such pages, which changes nothing.
        madvise(pages.begin, pages.end - pages.begin, MADV_HUGEPAGE);
    }
#endif
}

// Linux drops the pages, and provides new ones, which are zero, when they are used: an answer rarely needs all of the
// cache for which its context has room.
void llamafile_zero(void *memory, std::size_t size) {
#ifdef __linux__
    const Range pages = whole_pages(memory, size);
    if (pages.begin < pages.end && drop(pages)) {
        char *begin = static_cast<char *>(memory), *end = begin + size;
        std::memset(begin, 0, pages.begin - begin);
        std::memset(pages.end, 0, end - pages.end);
        return;
    }
#endif
    std::memset(memory, 0, size);
}
