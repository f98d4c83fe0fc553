/* A static ELF program inside a file: checked completely, then mapped. */
#ifndef APE_IMAGE_H
#define APE_IMAGE_H

#include <stdint.h>

#include "elf.h"

#define PHNUM_MAX 32

struct image {
    int fd;
    uint64_t file_size;
    uint64_t page_size;
    Elf64_Ehdr header;
    Elf64_Phdr segments[PHNUM_MAX];
    uint64_t start; /* of the whole program in memory, page-aligned */
    uint64_t end;
    uint64_t phdr_address; /* of the program headers, for AT_PHDR */
};

/* Read the program headers and check everything that mapping relies on. Returns NULL, or the first fault. */
const char *check_image(struct image *image);

/* Map a checked image. Returns NULL, or the failed operation, with errno in *ERROR. */
const char *map_image(const struct image *image, int *error);

#endif
