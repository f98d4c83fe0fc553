/* ape: runs an APE program, or a static ELF program, from where it lies in its file.

   The kernel starts this program with a file's path among its arguments; it maps the file's native image as
   execve(2) would, changes the arguments and the auxiliary vector into those of the program, and jumps to its entry.
   The whole image is checked before the first mapping. Accepted files: ape(5).

     ape PROG ARGS...          PATH is searched when PROG has no slash
     ape - PROG ARGV0 ARGS...  PROG is taken literally and argv[0] is given
     as binfmt_misc interpreter, with or without the flags F and P */

#include <stdbool.h>
#include <stdint.h>

#include "image.h"
#include "linux.h"
#include "memory.h"
#include "prologue.h"

#define DEFAULT_PATH "/bin:/usr/local/bin:/usr/bin"
#define EXIT_USAGE 1
#define EXIT_FAULT 127
#define PATH_MAX 4096

static const char USAGE[] = "usage: ape PROG [ARG...]\n"
                            "       ape - PROG [ARGV0 [ARG...]]\n"
                            "Runs an APE program or a static ELF program.\n";

struct auxv {
    uint64_t type;
    uint64_t value;
};

/* The initial stack, as the kernel builds it. */
struct start {
    uint64_t argc;
    char **argv;
    char **envp;
    struct auxv *auxv;
};

/* The program to load, and the arguments for the loader itself. */
struct command {
    const char *path;
    uint64_t skip; /* number of arguments for the loader itself */
    bool search;
};

struct entry {
    uint64_t stack;
    uint64_t address;
};

/* These stay in use after the jump: the auxiliary vector may point to the path and the program headers here. */
static struct image image;
static char found_path[PATH_MAX];

static void print(int fd, const char *text) {
    sys_write(fd, text, length(text));
}

static const char *describe(int error) {
    static char number[] = "system error ....";
    switch (error) {
    case EPERM:
        return "operation not permitted";
    case ENOENT:
        return "no such file or directory";
    case EIO:
        return "input/output error";
    case ENOMEM:
        return "not enough memory";
    case EACCES:
        return "permission denied";
    case EEXIST:
        return "already in use";
    case ENOTDIR:
        return "not a directory";
    case EISDIR:
        return "is a directory";
    case EMFILE:
        return "too many open files";
    case ELOOP:
        return "too many levels of symbolic links";
    default:
        for (int at = sizeof number - 2, rest = error; at > (int)sizeof number - 6; --at, rest /= 10) {
            number[at] = (char)('0' + rest % 10);
        }
        return number;
    }
}

static _Noreturn void fail(const char *path, const char *reason, int error) {
    print(2, "ape: ");
    print(2, path);
    print(2, ": ");
    print(2, reason);
    if (error != 0) {
        print(2, ": ");
        print(2, describe(error));
    }
    print(2, "\n");
    sys_exit(EXIT_FAULT);
}

static _Noreturn void usage(int fd, int status) {
    print(fd, USAGE);
    sys_exit(status);
}

static struct start read_stack(uint64_t *stack) {
    struct start start = {.argc = stack[0], .argv = (char **)(stack + 1)};
    start.envp = start.argv + start.argc + 1;
    char **end = start.envp;
    while (*end != NULL) {
        ++end;
    }
    start.auxv = (struct auxv *)(end + 1);
    return start;
}

static uint64_t aux_value(const struct auxv *auxv, uint64_t type, uint64_t otherwise) {
    for (; auxv->type != AT_NULL; ++auxv) {
        if (auxv->type == type) {
            return auxv->value;
        }
    }
    return otherwise;
}

static struct command read_arguments(const struct start *start) {
    char **argv = start->argv;
    if (start->argc >= 2 && (aux_value(start->auxv, AT_FLAGS, 0) & AT_FLAGS_PRESERVE_ARGV0) != 0) {
        return (struct command){.path = argv[1], .skip = start->argc > 2 ? 2 : 1};
    }
    if (start->argc < 2) {
        usage(2, EXIT_USAGE);
    }
    if (same(argv[1], "-")) {
        if (start->argc < 3) {
            usage(2, EXIT_USAGE);
        }
        return (struct command){.path = argv[2], .skip = start->argc > 3 ? 3 : 2};
    }
    if (same(argv[1], "-h") || same(argv[1], "--help")) {
        usage(1, 0);
    }
    if (argv[1][0] == '-') {
        usage(2, EXIT_USAGE);
    }
    return (struct command){.path = argv[1], .skip = 1, .search = true};
}

static bool has_slash(const char *path) {
    for (; *path != '\0'; ++path) {
        if (*path == '/') {
            return true;
        }
    }
    return false;
}

/* Join DIRECTORY (SIZE bytes) and NAME in found_path; an empty directory in PATH is the current one. */
static bool join(const char *directory, size_t size, const char *name) {
    size_t name_size = length(name) + 1;
    if (size == 0) {
        directory = ".";
        size = 1;
    }
    if (size + 1 + name_size > sizeof found_path) {
        return false;
    }
    memcpy(found_path, directory, size);
    found_path[size] = '/';
    memcpy(found_path + size + 1, name, name_size);
    return true;
}

static const char *search_path(const struct start *start, const char *name) {
    const char *path = DEFAULT_PATH;
    for (char **variable = start->envp; *variable != NULL; ++variable) {
        if (starts_with(*variable, length(*variable), "PATH=")) {
            path = *variable + length("PATH=");
            break;
        }
    }
    for (;;) {
        size_t size = 0;
        while (path[size] != '\0' && path[size] != ':') {
            ++size;
        }
        if (join(path, size, name) && sys_access(found_path, X_OK) == 0) {
            return found_path;
        }
        if (path[size] == '\0') {
            fail(name, "there is no such program in PATH", 0);
        }
        path += size + 1;
    }
}

static void open_image(const struct start *start, const char *path) {
    static char prologue[PROLOGUE_SIZE];
    image.page_size = aux_value(start->auxv, AT_PAGESZ, 4096);
    image.fd = sys_open(path);
    if (image.fd < 0) {
        fail(path, "cannot be opened", -image.fd);
    }
    long file_size = sys_size(image.fd);
    long size = file_size < 0 ? file_size : sys_pread(image.fd, prologue, sizeof prologue, 0);
    if (size < 0) {
        fail(path, "cannot be read", (int)-size);
    }
    image.file_size = (uint64_t)file_size;
    const char *fault = find_header(prologue, (size_t)size, &image.header);
    if (fault == NULL) {
        fault = check_image(&image);
    }
    if (fault != NULL) {
        fail(path, fault, 0);
    }
}

/* Remove the arguments for the loader from the stack. The rest moves by at most one word, never below the initial stack
   pointer, and the stack pointer stays 16-byte aligned, as the ABI demands. */
static uint64_t *drop_arguments(uint64_t *stack, struct start *start, uint64_t skip) {
    uint64_t *new_stack = stack + (skip & ~1ul);
    uint64_t *arguments = (uint64_t *)(start->argv + skip);
    struct auxv *end = start->auxv;
    while (end->type != AT_NULL) {
        ++end;
    }
    uint64_t argc = start->argc - skip;
    memmove(new_stack + 1, arguments, (size_t)((char *)(end + 1) - (char *)arguments));
    new_stack[0] = argc;
    *start = read_stack(new_stack);
    return new_stack;
}

/* Change the auxiliary vector, which describes the loader, to describe the program. */
static void describe_program(struct auxv *auxv, const char *path) {
    for (; auxv->type != AT_NULL; ++auxv) {
        switch (auxv->type) {
        case AT_PHDR:
            auxv->value = image.phdr_address;
            break;
        case AT_PHENT:
            auxv->value = sizeof(Elf64_Phdr);
            break;
        case AT_PHNUM:
            auxv->value = image.header.e_phnum;
            break;
        case AT_BASE:
        case AT_FLAGS:
            auxv->value = 0;
            break;
        case AT_ENTRY:
            auxv->value = image.header.e_entry;
            break;
        case AT_EXECFN:
            auxv->value = (uint64_t)path;
            break;
        default:
            break;
        }
    }
}

static const char *base_name(const char *path) {
    const char *name = path;
    for (; *path != '\0'; ++path) {
        if (*path == '/') {
            name = path + 1;
        }
    }
    return name;
}

/* Called by _start; returns the stack and the entry point of the program. */
struct entry load(uint64_t *stack);

struct entry load(uint64_t *stack) {
    struct start start = read_stack(stack);
    struct command command = read_arguments(&start);
    const char *path = command.path;
    if (command.search && !has_slash(path)) {
        path = search_path(&start, path);
    }
    open_image(&start, path);
    int error = 0;
    const char *fault = map_image(&image, &error);
    if (fault != NULL) {
        fail(path, fault, error);
    }
    sys_close(image.fd);
    sys_set_name(base_name(path));
    stack = drop_arguments(stack, &start, command.skip);
    describe_program(start.auxv, path);
    return (struct entry){.stack = (uint64_t)stack, .address = image.header.e_entry};
}
