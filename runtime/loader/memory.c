#include "memory.h"

void *memcpy(void *restrict to, const void *restrict from, size_t size) {
    return memmove(to, from, size);
}

void *memmove(void *to, const void *from, size_t size) {
    volatile unsigned char *target = to; /* volatile: or the loop is compiled into a call of memmove */
    const unsigned char *source = from;
    if (target <= source) {
        for (size_t i = 0; i < size; ++i) {
            target[i] = source[i];
        }
    } else {
        while (size-- > 0) {
            target[size] = source[size];
        }
    }
    return to;
}

void *memset(void *to, int byte, size_t size) {
    volatile unsigned char *target = to;
    for (size_t i = 0; i < size; ++i) {
        target[i] = (unsigned char)byte;
    }
    return to;
}

/* Return whether the SIZE bytes at TEXT begin with WORD. */
bool starts_with(const char *text, size_t size, const char *word) {
    for (size_t i = 0; word[i] != '\0'; ++i) {
        if (i == size || text[i] != word[i]) {
            return false;
        }
    }
    return true;
}

bool same(const char *a, const char *b) {
    return starts_with(a, length(a) + 1, b) && length(a) == length(b);
}

size_t length(const char *text) {
    size_t size = 0;
    while (text[size] != '\0') {
        ++size;
    }
    return size;
}
