/* Says what it found when it was started by Windows; every line is one that wrongly placed headers get wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

static _Thread_local int in_tls = 42;
static volatile char bss[1 << 20];
static volatile int data[1000] = {1, 2, 3};
static int constructed;

__attribute__((constructor)) static void construct(void) {
    constructed = 7;
}

static void at_exit(void) {
    puts("atexit ran");
}

static const char *is(int good) {
    return good ? "good" : "BAD";
}

static DWORD WINAPI thread(void *seen) {
    *(int *)seen = in_tls++;
    return 0;
}

int main(int argc, char **argv) {
    atexit(at_exit);
    for (int i = 1; i < argc; ++i) {
        printf("argv %s\n", argv[i]);
    }
    int seen = 0;
    WaitForSingleObject(CreateThread(NULL, 0, thread, &seen, 0, NULL), INFINITE);
    printf("threads %s\n", is(seen == 42 && in_tls == 42));
    printf("data %s\n", is(data[0] == 1 && data[2] == 3 && data[999] == 0));
    printf("bss %s\n", is(bss[0] == 0 && bss[sizeof bss - 1] == 0));
    printf("constructors %s\n", is(constructed == 7));

    /* The program's own file begins as an APE does: it is not a copy. */
    char path[MAX_PATH], head[9] = "";
    GetModuleFileNameA(NULL, path, sizeof path);
    FILE *file = fopen(path, "rb");
    if (file == NULL || fread(head, 1, 8, file) != 8) {
        return 1;
    }
    printf("begins with %s\n", head);
    return 7;
}
