// Does what an image that was put in the wrong place gets wrong, on every platform, and says what it found.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#if defined(_WIN32)
#include <windows.h>
#elif defined(__APPLE__)
#include <mach-o/dyld.h>
#elif defined(__linux__)
#include <sys/auxv.h>
#elif !defined(__OpenBSD__)
#include <sys/types.h>

#include <sys/sysctl.h>
#endif

namespace {

thread_local int in_tls = 42;
thread_local std::string made_by_each_thread = "made";
volatile char bss[16 << 20];
volatile int data[1000] = {1, 2, 3};

struct Constructed {
    Constructed() : value(7) {}
    ~Constructed() { std::puts("destructor ran"); }
    int value;
} constructed;

struct Counted {
    explicit Counted(int &alive) : alive(++alive) {}
    ~Counted() { --alive; }
    int &alive;
};

void at_exit() {
    std::puts("atexit ran");
}

void say(const char *what, bool good) {
    std::printf("%s %s\n", what, good ? "good" : "BAD");
}

bool bss_is_zero() {
    for (std::size_t i = 0; i < sizeof bss; i += 4096) {
        if (bss[i] != 0) {
            return false;
        }
        bss[i] = 1;
    }
    return true;
}

[[noreturn]] void fail(int &alive) {
    Counted counted(alive);
    throw std::runtime_error("thrown");
}

bool exceptions_unwind() {
    int alive = 0;
    try {
        fail(alive);
    } catch (const std::exception &error) {
        return std::strcmp(error.what(), "thrown") == 0 && alive == 0;
    }
}

bool threads_have_their_own_tls() {
    std::vector<int> seen(4);
    std::vector<std::thread> threads;
    for (int &mine : seen) {
        threads.emplace_back([&mine] { mine = made_by_each_thread.append("!") == "made!" ? in_tls++ : 0; });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    return seen == std::vector<int>(4, 42) && in_tls == 42 && made_by_each_thread == "made";
}

bool exceptions_cross_threads() {
    std::exception_ptr caught;
    std::thread([&caught] {
        int alive = 0;
        try {
            fail(alive);
        } catch (...) {
            caught = std::current_exception();
        }
    }).join();
    try {
        std::rethrow_exception(caught);
    } catch (const std::runtime_error &) {
        return true;
    }
}

// The file this program is in: what the script hands over where that is not the file that was executed.
std::string own_file(const char *name) {
    if (const char *container = std::getenv("LLAMAFILE_CONTAINER")) {
        return container;
    }
    char path[4096] = "";
#if defined(_WIN32)
    GetModuleFileNameA(nullptr, path, sizeof path);
#elif defined(__APPLE__)
    uint32_t size = sizeof path;
    _NSGetExecutablePath(path, &size);
#elif defined(__linux__)
    std::snprintf(path, sizeof path, "%s", reinterpret_cast<const char *>(getauxval(AT_EXECFN)));
#elif !defined(__OpenBSD__) // which does not tell
#if defined(__NetBSD__)
    int query[] = {CTL_KERN, KERN_PROC_ARGS, -1, KERN_PROC_PATHNAME};
#else
    int query[] = {CTL_KERN, KERN_PROC, KERN_PROC_PATHNAME, -1};
#endif
    std::size_t size = sizeof path;
    sysctl(query, 4, path, &size, nullptr, 0);
#endif
    return path[0] ? path : name;
}

void describe(const std::string &path) {
    unsigned char head[8] = {};
    std::FILE *file = std::fopen(path.c_str(), "rb");
    std::size_t size = file ? std::fread(head, 1, sizeof head, file) : 0;
    std::printf("own file %s\nbegins with", path.c_str());
    for (std::size_t i = 0; i < size; ++i) {
        std::printf(" %02x", head[i]);
    }
    std::puts("");
    if (file) {
        std::fclose(file);
    }
}

} // namespace

int main(int argc, char **argv) {
    std::atexit(at_exit);
    for (int i = 0; i < argc; ++i) {
        std::printf("argv %s\n", argv[i]);
    }
    describe(own_file(argv[0]));
    say("data", data[0] == 1 && data[2] == 3 && data[999] == 0);
    say("bss", bss_is_zero());
    say("constructors", constructed.value == 7);
    say("exceptions", exceptions_unwind());
    say("threads", threads_have_their_own_tls());
    say("exceptions of threads", exceptions_cross_threads());
    return 7;
}
