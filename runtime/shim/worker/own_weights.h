// The weights that a worker has on its own disk: it answers questions for them from there, so they are not sent.

#pragma once

#include "base/file.h"
#include "rpc/worker_engine.h"

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

class OwnWeights {
  public:
    OwnWeights() = default;

    // Adds the tensors of the model NAME, a file or a member of an archive, with all of its parts. Throws UserError.
    void add(const std::string &name);

    size_t count() const { return tensors.size(); }

    // Opens the files: the sandbox does not allow it later. Throws UserError.
    void open();

    // Reads the tensor NAME of SIZE bytes to TARGET, if there is one and HASH is its hash.
    bool read(const std::string &name, uint64_t size, uint64_t hash, uint8_t *target);

    // Computes the hashes of the tensors behind the last one that was asked for, in a thread of its own: the client
    // asks in about the same order, and computes a hash too meanwhile. A second call has no effect.
    void hash_ahead();

    bool has(const std::string &name, uint64_t size) const;

    ~OwnWeights();
    OwnWeights(OwnWeights &&other) noexcept;
    OwnWeights &operator=(OwnWeights &&) = delete;
    OwnWeights(const OwnWeights &) = delete;
    OwnWeights &operator=(const OwnWeights &) = delete;

  private:
    struct Tensor {
        size_t file;
        uint64_t offset;
        uint64_t size;
    };

    struct Part {
        std::string path; // for opening
        File front, ahead;
    };

    void add_part(const std::string &name);
    std::vector<size_t> candidates(const std::string &name, uint64_t size) const;
    bool read_candidate(size_t index, uint64_t hash, uint8_t *target);
    std::optional<uint64_t> known_hash(size_t index);
    void run_ahead();

    std::vector<Part> parts;
    std::vector<Tensor> tensors;
    std::multimap<std::string, size_t> names; // of several models

    std::mutex mutex;
    std::condition_variable asked;
    std::vector<std::optional<uint64_t>> hashes;
    size_t next = 0; // to hash ahead
    size_t last = 0; // the end of what is worth it now
    bool ends = false;
    std::thread thread;
};
