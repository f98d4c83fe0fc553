// The engine's side of a worker: what it does for the messages of one client.

#pragma once

#include "ggml-backend.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

// A message that cannot be answered: the end of a sentence about its sender.
class MessageError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

using Bytes = std::vector<uint8_t>;

// The client asks whether the worker has the bytes of a tensor already.
struct HashProbe {
    std::string name;
    uint64_t size; // of the whole tensor
    uint64_t offset;
    uint64_t hash;
};

// Commands with a meaning of their own here; the others are the engine's.
enum class Command { OTHER, HELLO, SET, PROBE, UNKNOWN };

class WorkerEngine {
  public:
    // Gives the client at most MEMORY_MAX bytes of all DEVICES together. Throws std::runtime_error.
    WorkerEngine(const std::vector<ggml_backend_dev_t> &devices, int threads, uint64_t memory_max);
    ~WorkerEngine();
    WorkerEngine(const WorkerEngine &) = delete;
    WorkerEngine &operator=(const WorkerEngine &) = delete;

    static Command command_of(uint8_t byte);
    static size_t hello_size();
    static Bytes hello_answer();

    // The most bytes that a message of this command may have now, and the fewest.
    size_t size_max(uint8_t byte) const;
    static size_t size_min(uint8_t byte);

    // Carries out the message, and returns its answer; nothing if it has none. Throws MessageError.
    std::optional<Bytes> answer(uint8_t byte, const Bytes &message);

    static HashProbe probe_in(const Bytes &message);
    static Bytes answer_to_probe(bool is_known);

    // A message that sets SIZE bytes of the tensor in MESSAGE, a probe; the bytes are its last ones.
    static Bytes setting(const Bytes &message, uint64_t size);

    // True if the client asks to keep the bytes that MESSAGE sets, and where they begin.
    static bool asks_to_keep(const Bytes &message);
    static size_t set_header_size();
    static uint8_t set_command();

    static uint64_t hash_of(const uint8_t *bytes, size_t size);

    // The protocol's version.
    static std::string version();

  private:
    struct State;

    Bytes allocate(const Bytes &message);
    Bytes limited_memory(const Bytes &answer) const;

    std::unique_ptr<State> state;
};
