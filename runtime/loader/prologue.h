/* The head of an executable: a plain ELF's own header, or the ELF headers that an APE carries as
   octal escapes in its shell script's printf statements (ape(5)). */
#ifndef APE_PROLOGUE_H
#define APE_PROLOGUE_H

#include <stdbool.h>
#include <stddef.h>

#include "elf.h"

#define PROLOGUE_SIZE 8192 /* every printf statement ends before this offset */

/* Find this machine's program in the first SIZE bytes of a file.
   Returns NULL and fills HEADER, or the reason why there is none. */
const char *find_header(const char *prologue, size_t size, Elf64_Ehdr *header);

#endif
