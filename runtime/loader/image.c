#include "image.h"

#include "linux.h"
#include "memory.h"

static uint64_t page_floor(const struct image *image, uint64_t address) {
    return address & -image->page_size;
}

/* Does not overflow: check_segment() keeps addresses far below 2^64. */
static uint64_t page_ceil(const struct image *image, uint64_t address) {
    return page_floor(image, address + image->page_size - 1);
}

static bool is_loaded(const Elf64_Phdr *segment) {
    return segment->p_type == PT_LOAD && segment->p_memsz != 0;
}

static const char *read_segments(struct image *image) {
    const Elf64_Ehdr *header = &image->header;
    if (header->e_type != ET_EXEC) {
        return "this program is not a static executable with a fixed address (ET_EXEC)";
    }
    if (header->e_phentsize != sizeof(Elf64_Phdr)) {
        return "e_phentsize is not 56";
    }
    if (header->e_phnum == 0 || header->e_phnum > PHNUM_MAX) {
        return "e_phnum is not between 1 and 32";
    }
    uint64_t size = header->e_phnum * sizeof(Elf64_Phdr);
    if (header->e_phoff > image->file_size || size > image->file_size - header->e_phoff) {
        return "the program headers lie outside of the file";
    }
    if (sys_pread(image->fd, image->segments, size, header->e_phoff) != (long)size) {
        return "the program headers cannot be read";
    }
    return NULL;
}

static const char *check_segment(const struct image *image, const Elf64_Phdr *segment) {
    const uint64_t ADDRESS_MAX = 1ul << 56; /* no user address of either machine is as large */
    if (segment->p_filesz > segment->p_memsz) {
        return "p_filesz is larger than p_memsz";
    }
    if (segment->p_offset > image->file_size || segment->p_filesz > image->file_size - segment->p_offset) {
        return "a segment lies outside of the file: is the file complete?";
    }
    if (segment->p_vaddr > ADDRESS_MAX || segment->p_memsz > ADDRESS_MAX) {
        return "a segment lies outside of the address space";
    }
    if (segment->p_filesz != 0 && ((segment->p_vaddr ^ segment->p_offset) & (image->page_size - 1)) != 0) {
        return "p_vaddr and p_offset differ modulo this system's page size";
    }
    if ((segment->p_flags & PF_W) != 0 && (segment->p_flags & PF_X) != 0) {
        return "a segment is both writable and executable";
    }
    return NULL;
}

static bool share_page(const struct image *image, const Elf64_Phdr *a, const Elf64_Phdr *b) {
    return page_floor(image, a->p_vaddr) < page_ceil(image, b->p_vaddr + b->p_memsz) &&
           page_floor(image, b->p_vaddr) < page_ceil(image, a->p_vaddr + a->p_memsz);
}

static const char *check_segments(struct image *image) {
    bool has_entry = false;
    image->start = UINT64_MAX;
    image->end = 0;
    for (int i = 0; i < image->header.e_phnum; ++i) {
        const Elf64_Phdr *segment = &image->segments[i];
        if (segment->p_type == PT_INTERP || segment->p_type == PT_DYNAMIC) {
            return "this program is dynamically linked; only static programs can be loaded";
        }
        if (!is_loaded(segment)) {
            continue;
        }
        const char *fault = check_segment(image, segment);
        if (fault != NULL) {
            return fault;
        }
        for (int j = 0; j < i; ++j) {
            if (is_loaded(&image->segments[j]) && share_page(image, segment, &image->segments[j])) {
                return "two segments share a page";
            }
        }
        if (segment->p_vaddr < image->start) {
            image->start = page_floor(image, segment->p_vaddr);
        }
        if (segment->p_vaddr + segment->p_memsz > image->end) {
            image->end = page_ceil(image, segment->p_vaddr + segment->p_memsz);
        }
        uint64_t entry_offset = image->header.e_entry - segment->p_vaddr;
        has_entry = has_entry || ((segment->p_flags & PF_X) != 0 && entry_offset < segment->p_filesz);
    }
    return has_entry ? NULL : "e_entry is not inside an executable segment";
}

/* A program finds its TLS image and its unwind tables through AT_PHDR. If its headers are not mapped (genuine files
   keep them in the prologue), AT_PHDR points to our copy, which stays mapped. PT_PHDR would then be wrong, and musl
   computes a load address from it. */
static void place_headers(struct image *image) {
    uint64_t size = image->header.e_phnum * sizeof(Elf64_Phdr);
    for (int i = 0; i < image->header.e_phnum; ++i) {
        const Elf64_Phdr *segment = &image->segments[i];
        uint64_t at = image->header.e_phoff - segment->p_offset;
        if (is_loaded(segment) && at < segment->p_filesz && size <= segment->p_filesz - at) {
            image->phdr_address = segment->p_vaddr + at;
            return;
        }
    }
    for (int i = 0; i < image->header.e_phnum; ++i) {
        if (image->segments[i].p_type == PT_PHDR) {
            image->segments[i].p_type = PT_NULL;
        }
    }
    image->phdr_address = (uint64_t)image->segments;
}

const char *check_image(struct image *image) {
    const char *fault = read_segments(image);
    if (fault == NULL) {
        fault = check_segments(image);
    }
    if (fault == NULL) {
        place_headers(image);
    }
    return fault;
}

static int protection(const Elf64_Phdr *segment) {
    return ((segment->p_flags & PF_R) != 0 ? PROT_READ : 0) | ((segment->p_flags & PF_W) != 0 ? PROT_WRITE : 0) |
           ((segment->p_flags & PF_X) != 0 ? PROT_EXEC : 0);
}

static long map_anonymous(uint64_t start, uint64_t end, int prot) {
    return sys_mmap(start, end - start, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/* The file's file system forbids mapping (noexec) or cannot do it: read the bytes into ordinary memory. */
static long read_segment(const struct image *image, const Elf64_Phdr *segment, uint64_t start) {
    uint64_t file_end = segment->p_vaddr + segment->p_filesz;
    long result = map_anonymous(start, page_ceil(image, file_end), PROT_READ | PROT_WRITE);
    if (result < 0) {
        return result;
    }
    for (uint64_t at = segment->p_vaddr; at < file_end; at += (uint64_t)result) {
        result = sys_pread(image->fd, (void *)at, file_end - at, segment->p_offset + (at - segment->p_vaddr));
        if (result <= 0) {
            return result < 0 ? result : -EIO;
        }
    }
    sync_instructions(segment->p_vaddr, file_end);
    return sys_mprotect(start, page_ceil(image, file_end) - start, protection(segment));
}

/* Map the bytes that come from the file, and clear the rest of their last page where bss begins in it. */
static long map_file_part(const struct image *image, const Elf64_Phdr *segment, uint64_t start) {
    uint64_t skew = segment->p_vaddr - start;
    uint64_t file_end = segment->p_vaddr + segment->p_filesz;
    int prot = protection(segment);
    bool has_bss = segment->p_memsz > segment->p_filesz;
    int first = has_bss ? PROT_READ | PROT_WRITE : prot;
    long result =
        sys_mmap(start, skew + segment->p_filesz, first, MAP_PRIVATE | MAP_FIXED, image->fd, segment->p_offset - skew);
    if (result < 0) {
        return read_segment(image, segment, start);
    }
    if (!has_bss) {
        return 0;
    }
    memset((void *)file_end, 0, page_ceil(image, file_end) - file_end);
    if (first == prot) {
        return 0;
    }
    result = sys_mprotect(start, page_ceil(image, file_end) - start, prot);
    return result < 0 ? read_segment(image, segment, start) : 0; /* with bss, noexec is an error only here */
}

static long map_segment(const struct image *image, const Elf64_Phdr *segment) {
    uint64_t start = page_floor(image, segment->p_vaddr);
    if (segment->p_filesz != 0) {
        long result = map_file_part(image, segment, start);
        if (result < 0) {
            return result;
        }
        start = page_ceil(image, segment->p_vaddr + segment->p_filesz);
    }
    uint64_t end = page_ceil(image, segment->p_vaddr + segment->p_memsz);
    return start < end ? map_anonymous(start, end, protection(segment)) : 0;
}

const char *map_image(const struct image *image, int *error) {
    /* Reserving the whole range first protects the loader, its stack and the vdso from being replaced. Kernels before
       4.17 take the address as a hint, hence the comparison. */
    uint64_t size = image->end - image->start;
    long got = sys_mmap(image->start, size, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got >= 0 && (uint64_t)got != image->start) {
        sys_munmap((uint64_t)got, size);
        got = -EEXIST;
    }
    if (got < 0 && got > -4096) {
        *error = (int)-got;
        return "its addresses are not available";
    }
    for (int i = 0; i < image->header.e_phnum; ++i) {
        if (is_loaded(&image->segments[i])) {
            long result = map_segment(image, &image->segments[i]);
            if (result < 0 && result > -4096) {
                *error = (int)-result;
                return "a segment cannot be mapped";
            }
        }
    }
    return NULL;
}
