// Tensors that clients sent, kept in files for the next time: a folder of the user alone, of limited size.

#pragma once

#include "rpc/worker_engine.h"

#include <cstdint>
#include <optional>
#include <string>

class TensorCache {
  public:
    // Keeps at most SIZE_MAX bytes in FOLDER, which is created. Throws UserError if others may write there.
    TensorCache(std::string folder, uint64_t size_max);

    // The folder when the user names none: in that of the system for caches. Throws UserError if there is none.
    static std::string default_folder();

    // The bytes with HASH; nothing if there are none. Damaged files are removed.
    std::optional<Bytes> read(uint64_t hash) const;

    // Removes the files that were not used for the longest time until there is room. Larger bytes than the cache are
    // not kept.
    void write(uint64_t hash, const uint8_t *bytes, size_t size) const;

    const std::string &path() const { return folder; }

  private:
    std::string path_of(uint64_t hash) const;
    void make_room(uint64_t size) const;

    std::string folder;
    uint64_t size_max;
};
