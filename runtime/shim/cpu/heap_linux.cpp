// The memory of C++ objects, where the C library is musl with zig's malloc.
//
// That malloc keeps what was released in lists, one of each size for each processor, and takes more from the system if
// the lists it looks into are empty or in use. Where one thread releases what another one allocates, as clients'
// threads release the tokens of the engine's, they grow without an end. Here, all threads share one list of each size.

#include <cstddef>
#include <cstdlib>
#include <memory_resource>
#include <new>

#ifndef __GLIBC__ // that of the program with GPUs joins what was released, and returns it

namespace {

constexpr std::size_t HEADER = alignof(std::max_align_t); // has the size
constexpr std::size_t LARGEST = 32'768;                   // malloc maps larger ones, and unmaps them
constexpr std::size_t CHUNK = 4096;                       // objects at most that are taken from malloc at once
constexpr std::size_t LARGEST_POOL = 4 * LARGEST;         // libc++ uses a quarter of it

class Malloc final : public std::pmr::memory_resource {
    void *do_allocate(std::size_t size, std::size_t) override {
        void *memory = std::malloc(size);
        if (memory == nullptr) {
            throw std::bad_alloc();
        }
        return memory;
    }
    void do_deallocate(void *memory, std::size_t, std::size_t) override { std::free(memory); }
    [[nodiscard]] bool do_is_equal(const memory_resource &other) const noexcept override { return this == &other; }
};

// What objects of SIZE bytes, with their headers, come from. Never destroyed: objects of any lifetime are in it.
std::pmr::memory_resource &memory_for(std::size_t size) {
    using Pools = std::pmr::synchronized_pool_resource;
    alignas(Malloc) static char place_of_malloc[sizeof(Malloc)];
    alignas(Pools) static char place_of_pools[sizeof(Pools)];
    static auto *const large = new (place_of_malloc) Malloc;
    static auto *const small =
        new (place_of_pools) Pools({.max_blocks_per_chunk = CHUNK, .largest_required_pool_block = LARGEST_POOL}, large);
    if (size > LARGEST) {
        return *large;
    }
    return *small;
}

} // namespace

// The standard library's other forms call these two; those for larger alignments call aligned_alloc() and free().

void *operator new(std::size_t size) {
    const std::size_t all = size + HEADER;
    if (all < size) {
        throw std::bad_alloc();
    }
    void *memory = memory_for(all).allocate(all);
    *static_cast<std::size_t *>(memory) = all;
    return static_cast<char *>(memory) + HEADER;
}

void operator delete(void *object) noexcept {
    if (object != nullptr) {
        void *memory = static_cast<char *>(object) - HEADER;
        const std::size_t all = *static_cast<const std::size_t *>(memory);
        memory_for(all).deallocate(memory, all);
    }
}

#endif
