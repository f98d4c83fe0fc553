// std::random_device with getrandom(2). libc++'s opens /dev/urandom in its constructor, which the engine calls for each
// answer; a server in its sandbox cannot open files. This definition replaces libc++'s whole object file, so linking
// fails if a later libc++ has more in this object file.

#include <cerrno>
#include <fcntl.h>
#include <random>
#include <sys/random.h>
#include <system_error>
#include <unistd.h>

namespace {

// Linux before 3.17 has no getrandom(); there, the file is opened at start, before the sandbox.
int open_file() {
    unsigned value = 0;
    const bool can_ask = getrandom(&value, sizeof value, GRND_NONBLOCK) >= 0 || errno != ENOSYS;
    return can_ask ? -1 : open("/dev/urandom", O_RDONLY | O_CLOEXEC);
}

const int FALLBACK_FILE = open_file();

} // namespace

// NOLINTBEGIN(cppcoreguidelines-pro-type-member-init,performance-trivially-destructible): libc++ declares the class
std::random_device::random_device(const std::string &) {}

std::random_device::~random_device() = default;
// NOLINTEND(cppcoreguidelines-pro-type-member-init,performance-trivially-destructible)

unsigned std::random_device::operator()() {
    unsigned value = 0;
    const auto size = static_cast<ssize_t>(sizeof value);
    while ((FALLBACK_FILE < 0 ? getrandom(&value, sizeof value, 0) : read(FALLBACK_FILE, &value, sizeof value)) !=
           size) {
        if (errno != EINTR) {
            throw std::system_error(errno, std::generic_category(), FALLBACK_FILE < 0 ? "getrandom" : "/dev/urandom");
        }
    }
    return value;
}

double std::random_device::entropy() const noexcept {
    return 32; // bits
}
