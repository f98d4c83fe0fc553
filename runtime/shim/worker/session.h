// The conversation with one client.

#pragma once

#include "rpc/tcp.h"
#include "rpc/worker_engine.h"
#include "worker/own_weights.h"
#include "worker/tensor_cache.h"

#include <cstdint>
#include <optional>

// What came and what did not have to.
struct SessionCount {
    uint64_t received = 0;  // bytes of messages
    uint64_t from_disk = 0; // bytes of tensors that were here already
};

class WorkerSession {
  public:
    WorkerSession(const Connection &client, WorkerEngine &backend, OwnWeights &own, const TensorCache *kept)
        : connection(client), engine(backend), weights(own), cache(kept) {}

    // Answers messages until the client ends the connection. Throws MessageError and NetworkError.
    void run();

    const SessionCount &count() const { return counted; }

  private:
    void greet();
    void answer(uint8_t command);
    Bytes receive_message(uint8_t command);
    bool set_from_disk(const Bytes &probe);
    void keep(const Bytes &setting) const;
    void send(const Bytes &answer) const;

    const Connection &connection;
    WorkerEngine &engine;
    OwnWeights &weights;
    const TensorCache *cache;
    SessionCount counted;
};
