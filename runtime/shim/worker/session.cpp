#include "worker/session.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

namespace {

constexpr int FIRST_MESSAGE_SECONDS = 10;
constexpr size_t PIECE = size_t{16} << 20;
constexpr size_t TOGETHER_MAX = size_t{64} << 10;

[[noreturn]] void refuse_version() {
    throw MessageError("it speaks another version of the protocol than " + WorkerEngine::version() +
                       ", or another protocol; use the same llamafile on all hosts");
}

} // namespace

void WorkerSession::run() {
    connection.watch_peer();
    connection.limit_waiting(FIRST_MESSAGE_SECONDS);
    greet();
    connection.limit_waiting(0);
    uint8_t command = 0;
    while (connection.receive_or_end(&command, sizeof command)) {
        answer(command);
    }
}

void WorkerSession::greet() {
    uint8_t command = 0;
    uint64_t size = 0;
    if (!connection.receive_or_end(&command, sizeof command)) {
        throw MessageError("it said nothing");
    }
    if (WorkerEngine::command_of(command) != Command::HELLO) {
        refuse_version();
    }
    connection.receive(&size, sizeof size);
    if (size != WorkerEngine::hello_size()) {
        refuse_version();
    }
    Bytes hello(size);
    connection.receive(hello.data(), hello.size());
    send(WorkerEngine::hello_answer());
}

// Memory grows with the bytes that have come, not with the size that the client claims.
Bytes WorkerSession::receive_message(uint8_t command) {
    uint64_t size = 0;
    connection.receive(&size, sizeof size);
    if (size < WorkerEngine::size_min(command) || size > engine.size_max(command)) {
        throw MessageError("it sent a message of a wrong size (" + std::to_string(size) + " bytes for command " +
                           std::to_string(command) + ")");
    }
    Bytes message;
    while (message.size() < size) {
        const size_t had = message.size();
        message.resize(std::min<uint64_t>(size, std::max(had * 2, PIECE)));
        connection.receive(message.data() + had, message.size() - had);
    }
    counted.received += size;
    return message;
}

void WorkerSession::answer(uint8_t command) {
    const Command kind = WorkerEngine::command_of(command);
    if (kind == Command::UNKNOWN || kind == Command::HELLO) {
        throw MessageError("it sent the unknown command " + std::to_string(command));
    }
    try {
        const Bytes message = receive_message(command);
        if (kind == Command::PROBE) {
            send(WorkerEngine::answer_to_probe(set_from_disk(message)));
            return;
        }
        const std::optional<Bytes> answer = engine.answer(command, message);
        if (kind == Command::SET) {
            keep(message);
        }
        if (answer) {
            send(*answer);
        }
    } catch (const std::bad_alloc &) {
        throw MessageError("its message needs more memory than there is");
    }
}

// True if the bytes that the client asks about are here, and are now in its tensor.
bool WorkerSession::set_from_disk(const Bytes &message) {
    const HashProbe probe = WorkerEngine::probe_in(message);
    const size_t header = WorkerEngine::set_header_size();
    if (probe.offset == 0 && weights.has(probe.name, probe.size) &&
        probe.size <= engine.size_max(WorkerEngine::set_command())) {
        Bytes setting = WorkerEngine::setting(message, probe.size);
        if (weights.read(probe.name, probe.size, probe.hash, setting.data() + header)) {
            engine.answer(WorkerEngine::set_command(), setting);
            counted.from_disk += probe.size;
            return true;
        }
    }
    const std::optional<Bytes> kept = cache == nullptr ? std::nullopt : cache->read(probe.hash);
    if (!kept) {
        return false;
    }
    Bytes setting = WorkerEngine::setting(message, kept->size());
    std::memcpy(setting.data() + header, kept->data(), kept->size());
    engine.answer(WorkerEngine::set_command(), setting);
    counted.from_disk += kept->size();
    return true;
}

void WorkerSession::keep(const Bytes &setting) const {
    const size_t header = WorkerEngine::set_header_size();
    if (cache != nullptr && WorkerEngine::asks_to_keep(setting)) {
        const uint8_t *bytes = setting.data() + header;
        cache->write(WorkerEngine::hash_of(bytes, setting.size() - header), bytes, setting.size() - header);
    }
}

void WorkerSession::send(const Bytes &answer) const {
    const uint64_t size = answer.size();
    if (size > TOGETHER_MAX) {
        connection.send(&size, sizeof size);
        connection.send(answer.data(), answer.size());
        return;
    }
    Bytes together(sizeof size + answer.size()); // one packet instead of two
    std::memcpy(together.data(), &size, sizeof size);
    std::copy(answer.begin(), answer.end(), together.begin() + sizeof size);
    connection.send(together.data(), together.size());
}
