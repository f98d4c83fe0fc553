// Memory in pages of 2 MiB instead of 4 KiB, on systems that provide these only on request: weights and cache are read
// completely for every token, and page table walks take part of the time.

#include "hooks/hooks.h"

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#endif

void llamafile_prefer_huge_pages([[maybe_unused]] void *memory, [[maybe_unused]] std::size_t size) {
#ifdef __linux__
    const auto page_size = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
    const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(memory);
    const std::uintptr_t start = (address + page_size - 1) / page_size * page_size;
    const std::uintptr_t end = (address + size) / page_size * page_size;
    if (memory != nullptr && start < end) {
        // Fails on a kernel without such pages, which changes nothing.
        madvise(reinterpret_cast<void *>(start), end - start, MADV_HUGEPAGE);
    }
#endif
}
