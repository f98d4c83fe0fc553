#include "rpc/transport.h"

#include "ggml-rpc.h"
#include "ggml/src/ggml-rpc/transport.h"
#include "rpc/lost_worker.h"
#include "rpc/tcp.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <vector>

namespace {

constexpr int CONNECTING_SECONDS = 10;
constexpr size_t TOGETHER_MAX = size_t{64} << 10; // bytes of a message that are sent in one piece
constexpr char COLON = ':';
constexpr char IN_PLACE_OF_COLON = ';';

// The answer to the first message: its size, and the version of the protocol in its first three bytes.
constexpr uint64_t HELLO_SIZE = 4 + RPC_CONN_CAPS_SIZE;

std::atomic<uint64_t> sent_bytes{0};
std::atomic<uint64_t> received_bytes{0};
std::atomic<void (*)()> before_sending{nullptr};
thread_local bool has_called = false;
thread_local std::string worker_here;

void call_once_here() {
    void (*const function)() = before_sending;
    if (function != nullptr && !has_called) {
        has_called = true;
        function();
    }
}

std::string version_text(const uint8_t *version) {
    return std::to_string(version[0]) + "." + std::to_string(version[1]) + "." + std::to_string(version[2]);
}

[[noreturn]] void refuse_version(const std::string &worker, const std::string &theirs) {
    throw PeerError("the worker " + worker + " speaks " + theirs + ", and this program version " +
                    std::to_string(RPC_PROTO_MAJOR_VERSION) + "." + std::to_string(RPC_PROTO_MINOR_VERSION) + "." +
                    std::to_string(RPC_PROTO_PATCH_VERSION) + " of the protocol; use the same llamafile on all hosts");
}

} // namespace

// A connection whose first answer is checked, and whose end is the end of the program afterwards.
struct socket_t::impl {
    std::string worker;
    Connection connection;
    int answers = 0;            // received, until the connection is established
    std::vector<char> together; // the beginning of a message, which flush() sends

    bool is_established() const { return answers > 1; }
    void check_hello(const uint8_t *bytes, size_t size);
    void send(const void *bytes, size_t size);
    void send_together();
    bool sending(const std::function<void()> &send_all);
};

bool socket_t::impl::sending(const std::function<void()> &send_all) {
    try {
        if (is_established()) { // in the thread of this connection
            worker_here = worker;
            call_once_here();
        }
        send_all();
        return true;
    } catch (const NetworkError &error) {
        if (is_established()) {
            end_without(worker, error.what());
        }
        throw NetworkError("cannot use the worker " + worker + ": " + error.what());
    }
}

void socket_t::impl::send(const void *bytes, size_t size) {
    connection.send(bytes, size);
    sent_bytes += size;
}

void socket_t::impl::send_together() {
    if (!together.empty()) {
        send(together.data(), together.size());
        together.clear();
    }
}

void socket_t::impl::check_hello(const uint8_t *bytes, size_t size) {
    uint64_t answer_size = 0;
    if (answers == 0) {
        std::memcpy(&answer_size, bytes, std::min(size, sizeof answer_size));
        if (answer_size != HELLO_SIZE) {
            refuse_version(worker, "another version");
        }
    } else {
        constexpr uint8_t OURS[] = {RPC_PROTO_MAJOR_VERSION, RPC_PROTO_MINOR_VERSION, RPC_PROTO_PATCH_VERSION};
        if (std::memcmp(bytes, OURS, sizeof OURS) != 0) {
            refuse_version(worker, "version " + version_text(bytes));
        }
        connection.limit_waiting(0);
    }
    ++answers;
}

socket_t::socket_t(std::unique_ptr<impl> p) : pimpl(std::move(p)) {}

socket_t::~socket_t() = default;

// The engine sends a byte, a size and a content, each of which would be a packet of its own.
bool socket_t::send_data(const void *data, size_t size) {
    if (size < TOGETHER_MAX && pimpl->together.size() < TOGETHER_MAX) {
        const auto *bytes = static_cast<const char *>(data);
        pimpl->together.insert(pimpl->together.end(), bytes, bytes + size);
        return true;
    }
    return pimpl->sending([&] {
        pimpl->send_together();
        pimpl->send(data, size);
    });
}

bool socket_t::flush() {
    return pimpl->sending([&] { pimpl->send_together(); });
}

bool socket_t::recv_data(void *data, size_t size) {
    try {
        pimpl->connection.receive(data, size);
        received_bytes += size;
    } catch (const NetworkError &error) {
        if (pimpl->is_established()) {
            end_without(pimpl->worker, error.what());
        }
        throw NetworkError("cannot use the worker " + pimpl->worker + ": " + error.what() +
                           "; it serves one program at a time, and only those that its --allow names");
    }
    if (!pimpl->is_established()) {
        pimpl->check_hello(static_cast<const uint8_t *>(data), size);
    }
    return true;
}

// Workers have listeners of their own.
socket_ptr socket_t::accept() {
    return nullptr;
}

socket_ptr socket_t::create_server(const char *, int) {
    return nullptr;
}

// There is no other transport to agree on.
void socket_t::get_caps(uint8_t *local_caps) {
    std::memset(local_caps, 0, RPC_CONN_CAPS_SIZE);
}

void socket_t::update_caps(const uint8_t *) {}

socket_ptr socket_t::connect(const char *host, int port) {
    std::string name = host;
    std::replace(name.begin(), name.end(), IN_PLACE_OF_COLON, COLON);
    auto connected = std::make_unique<impl>();
    const bool is_ipv6 = name.find(COLON) != std::string::npos;
    connected->worker = (is_ipv6 ? "[" + name + "]" : name) + COLON + std::to_string(port);
    try {
        connected->connection = Connection::to(name, port, CONNECTING_SECONDS);
    } catch (const NetworkError &error) {
        throw NetworkError("cannot reach the worker " + connected->worker + ": " + error.what() +
                           "; llamafile-rpc-server must run there first");
    }
    connected->connection.watch_peer();
    connected->connection.limit_waiting(CONNECTING_SECONDS); // for the first answer
    return socket_ptr(new socket_t(std::move(connected)));
}

bool rpc_transport_init() {
    return true;
}

void rpc_transport_shutdown() {}

std::string encoded_host(const std::string &host) {
    std::string encoded = host;
    std::replace(encoded.begin(), encoded.end(), COLON, IN_PLACE_OF_COLON);
    return encoded;
}

Traffic traffic() {
    return {sent_bytes, received_bytes};
}

void call_before_sending(void (*function)()) {
    before_sending = function;
}

std::string worker_of_this_thread() {
    return worker_here;
}
