#include "prologue.h"

#include "memory.h"

static const char ELF_MAGIC[] = "\177ELF";

static bool is_octal(char c) {
    return '0' <= c && c <= '7';
}

/* Decode the output of printf(1) for the text at FROM, up to its closing quote or SIZE bytes of result.
   Older generators wrote escapes above \377, of which the low eight bits are used. */
static size_t decode(const char *from, const char *end, unsigned char *to, size_t size) {
    size_t done = 0;
    while (done < size && from < end && *from != '\'') {
        unsigned value = (unsigned char)*from++;
        if (value == '\\' && from < end && is_octal(*from)) {
            value = 0;
            for (int digits = 0; digits < 3 && from < end && is_octal(*from); ++digits) {
                value = value << 3 | (unsigned)(*from++ - '0');
            }
        }
        to[done++] = (unsigned char)value;
    }
    return done;
}

/* The machine alone selects a header: a fault in the selected one is an error, not a reason to try the next. */
static bool is_for_here(const Elf64_Ehdr *header) {
    return starts_with((const char *)header->e_ident, sizeof header->e_ident, ELF_MAGIC) &&
           header->e_ident[EI_CLASS] == ELFCLASS64 && header->e_ident[EI_DATA] == ELFDATA2LSB &&
           header->e_machine == EM_HERE;
}

static bool is_ape(const char *prologue, size_t size) {
    return starts_with(prologue, size, "MZqFpD='") || starts_with(prologue, size, "jartsr='") ||
           starts_with(prologue, size, "APEDBG='");
}

/* Shell syntax is ignored: statements in comments and after a NUL are found, too. */
static bool find_statement(const char *prologue, size_t size, Elf64_Ehdr *header) {
    static const char STATEMENT[] = "printf '";
    for (size_t at = 0; at < size; ++at) {
        if (starts_with(prologue + at, size - at, STATEMENT) &&
            decode(prologue + at + sizeof STATEMENT - 1, prologue + size, (unsigned char *)header, sizeof *header) ==
                sizeof *header &&
            is_for_here(header)) {
            return true;
        }
    }
    return false;
}

const char *find_header(const char *prologue, size_t size, Elf64_Ehdr *header) {
    if (starts_with(prologue, size, ELF_MAGIC)) {
        if (size < sizeof *header) {
            return "the ELF header is cut off";
        }
        memcpy(header, prologue, sizeof *header);
        return is_for_here(header) ? NULL : "this ELF program is for another kind of machine";
    }
    if (!is_ape(prologue, size)) {
        return "this is neither an APE nor an ELF program";
    }
    return find_statement(prologue, size, header) ? NULL : "this APE holds no program for this machine";
}
