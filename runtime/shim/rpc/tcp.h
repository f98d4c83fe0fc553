// TCP connections to and from the hosts that share a model, in the same way on all systems.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

// A peer that is silent for so many seconds, although the system asks it again and again, is gone.
constexpr int SILENCE_SECONDS = 20;

// A socket of the system.
using SocketHandle = std::intptr_t;
constexpr SocketHandle NO_SOCKET = -1;

// Why there is no connection: the end of a sentence.
class NetworkError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// The peer is there, but not one that this program can use: waiting changes nothing.
class PeerError : public NetworkError {
  public:
    using NetworkError::NetworkError;
};

class Connection {
  public:
    Connection() = default;
    explicit Connection(SocketHandle socket) : handle(socket) {}
    Connection(Connection &&other) noexcept : handle(other.handle) { other.handle = NO_SOCKET; }
    Connection &operator=(Connection &&other) noexcept;
    Connection(const Connection &) = delete;
    Connection &operator=(const Connection &) = delete;
    ~Connection() { close(); }

    // Connects to PORT of HOST, a name or an address, within SECONDS. Throws NetworkError.
    static Connection to(const std::string &host, int port, int seconds);

    // Transfer all SIZE bytes. Throw NetworkError if the connection ends before.
    void send(const void *bytes, size_t size) const;
    void receive(void *bytes, size_t size) const;

    // The same, but returns false if the peer ends the connection before the first byte.
    bool receive_or_end(void *bytes, size_t size) const;

    // Lets receive() fail after SECONDS; 0: never.
    void limit_waiting(int seconds) const;

    // Has the system close the connection when the peer has not answered for SILENCE_SECONDS.
    void watch_peer() const;

    void close();
    SocketHandle socket() const { return handle; }

  private:
    size_t receive_some(char *bytes, size_t size) const;

    SocketHandle handle = NO_SOCKET;
};

// An address of IPv4 or IPv6 as 16 bytes: the former as ::ffff:a.b.c.d.
struct Address {
    unsigned char bytes[16];
};

std::optional<Address> parse_address(const std::string &text);
bool is_loopback_address(const Address &address);

struct Visitor {
    Connection connection;
    Address address;
    std::string name; // of its address and port
};

class Listener {
  public:
    // Listens on PORT of the address or name HOST. Throws NetworkError.
    Listener(const std::string &host, int port);

    // The next connection; nothing if the visitor has gone again. Throws NetworkError if there can be no more.
    std::optional<Visitor> accept() const;

    SocketHandle socket() const { return own.socket(); }
    int port() const;
    void close() { own.close(); }

  private:
    Connection own;
};
