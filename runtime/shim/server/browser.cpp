#include "server/browser.h"

#include "base/message.h"

namespace {

// The address to visit for an ADDRESS to listen on, which may stand for all interfaces.
std::string visitable(const std::string &address) {
    for (const std::string any : {"://0.0.0.0", "://[::]"}) {
        const size_t at = address.find(any);
        if (at != std::string::npos) {
            return address.substr(0, at) + "://127.0.0.1" + address.substr(at + any.size());
        }
    }
    return address;
}

} // namespace

void report_browser_failure(const std::string &problem, const std::string &url) {
    log_line(problem + "; open " + url + " yourself (--nobrowser: do not try)");
}

void Browser::open(const std::string &address, const std::string &path) {
    if (is_prepared && address.starts_with("http")) {
        is_prepared = false;
        open_page(visitable(address) + path);
    }
}
