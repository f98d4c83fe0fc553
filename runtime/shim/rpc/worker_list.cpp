#include "rpc/worker_list.h"

#include "base/text.h"
#include "base/user_error.h"

#include "ggml-rpc.h"

namespace {

int parse_port(const std::string &text, const std::string &worker) {
    const bool is_number =
        !text.empty() && text.size() < 6 && text.find_first_not_of("0123456789") == std::string::npos;
    const int port = is_number ? std::stoi(text) : 0;
    if (port < 1 || port > 65535) {
        throw UserError("--rpc takes workers as HOST:PORT, separated by commas, not '" + worker + "'");
    }
    return port;
}

WorkerName parse_worker(const std::string &text) {
    const size_t colon = text.rfind(':');
    std::string host = text.substr(0, colon == std::string::npos ? 0 : colon);
    const int port = parse_port(colon == std::string::npos ? "" : text.substr(colon + 1), text);
    const bool has_brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (has_brackets) {
        host = host.substr(1, host.size() - 2);
    }
    if (host.empty() || (!has_brackets && host.find(':') != std::string::npos)) {
        throw UserError(
            "--rpc takes workers as HOST:PORT, separated by commas, with an address of IPv6 in brackets, not '" + text +
            "'");
    }
    return {host, port};
}

} // namespace

std::vector<WorkerName> parse_workers(const std::string &list) {
    std::vector<WorkerName> workers;
    for (const std::string &worker : split_at(',', list)) {
        workers.push_back(parse_worker(worker));
    }
    if (workers.size() > GGML_RPC_MAX_SERVERS) {
        throw UserError("--rpc names " + std::to_string(workers.size()) + " workers, and the engine takes " +
                        std::to_string(GGML_RPC_MAX_SERVERS));
    }
    return workers;
}
