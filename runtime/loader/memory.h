/* Functions of the C library; compilers generate calls of the first three. */
#ifndef APE_MEMORY_H
#define APE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);

bool starts_with(const char *text, size_t size, const char *word);
bool same(const char *a, const char *b);
size_t length(const char *text);

#endif
