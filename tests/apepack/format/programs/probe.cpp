// Says what it found when it was started; every line is one that a bad loader gets wrong.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>

#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace {

thread_local int in_tls = 42;
volatile char bss[16 << 20];
volatile int data[1000] = {1, 2, 3};

struct Constructed {
    Constructed() { value = 7; }
    int value;
} constructed;

void at_exit() {
    std::puts("atexit ran");
}

const char *is(bool good) {
    return good ? "good" : "BAD";
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

bool exceptions_work() {
    try {
        throw std::runtime_error("thrown");
    } catch (const std::exception &error) {
        return std::string(error.what()) == "thrown";
    }
}

bool threads_have_their_own_tls() {
    int seen = 0;
    std::thread thread([&seen] { seen = in_tls++; });
    thread.join();
    return seen == 42 && in_tls == 42;
}

} // namespace

extern "C" const char __ehdr_start[];

int main(int argc, char **argv) {
    std::atexit(at_exit);
    for (int i = 0; i < argc; ++i) {
        std::printf("argv %s\n", argv[i]);
    }
    std::printf("AT_EXECFN %s\n", reinterpret_cast<const char *>(getauxval(AT_EXECFN)));
    std::printf("AT_PHDR %s\n", is(getauxval(AT_PHDR) == reinterpret_cast<unsigned long>(__ehdr_start) + 64));
    std::printf("AT_BASE %lu AT_FLAGS %lu AT_PHENT %lu\n", getauxval(AT_BASE), getauxval(AT_FLAGS),
                getauxval(AT_PHENT));
    char name[16] = "";
    prctl(PR_GET_NAME, name);
    std::printf("name %s\n", name);
    std::printf("environment %s\n", std::getenv("PROBE") ? std::getenv("PROBE") : "unset");
    std::printf("data %s\n", is(data[0] == 1 && data[2] == 3 && data[999] == 0));
    std::printf("bss %s\n", is(bss_is_zero()));
    std::printf("constructors %s\n", is(constructed.value == 7));
    std::printf("exceptions %s\n", is(exceptions_work()));
    std::printf("threads %s\n", is(threads_have_their_own_tls()));
    std::printf("stack %s\n", is(reinterpret_cast<unsigned long>(__builtin_frame_address(0)) % 16 == 0));
    std::fflush(stdout);
    return 7;
}
