/* ELF64 as far as the loader reads it; names are those of the System V gABI.
   runtime/image/elf.py declares the same structures: tests/runtime/loader/test_loader.py compares the two. */
#ifndef APE_ELF_H
#define APE_ELF_H

#include <stdint.h>

#define EI_CLASS 4
#define EI_DATA 5
#define ELFCLASS64 2
#define ELFDATA2LSB 1
#define ET_EXEC 2
#define EM_X86_64 62
#define EM_AARCH64 183

#if defined(__x86_64__)
#define EM_HERE EM_X86_64
#else
#define EM_HERE EM_AARCH64
#endif

#define PT_NULL 0
#define PT_LOAD 1
#define PT_DYNAMIC 2
#define PT_INTERP 3
#define PT_PHDR 6
#define PF_X 1
#define PF_W 2
#define PF_R 4

typedef struct {
    unsigned char e_ident[16];
    uint16_t e_type;
    uint16_t e_machine;
    uint32_t e_version;
    uint64_t e_entry;
    uint64_t e_phoff;
    uint64_t e_shoff;
    uint32_t e_flags;
    uint16_t e_ehsize;
    uint16_t e_phentsize;
    uint16_t e_phnum;
    uint16_t e_shentsize;
    uint16_t e_shnum;
    uint16_t e_shstrndx;
} Elf64_Ehdr;

typedef struct {
    uint32_t p_type;
    uint32_t p_flags;
    uint64_t p_offset;
    uint64_t p_vaddr;
    uint64_t p_paddr;
    uint64_t p_filesz;
    uint64_t p_memsz;
    uint64_t p_align;
} Elf64_Phdr;

_Static_assert(sizeof(Elf64_Ehdr) == 64, "the ELF header has 64 bytes");
_Static_assert(sizeof(Elf64_Phdr) == 56, "a program header has 56 bytes");

#endif
