// A file that can keep one state: place_SYSTEM.cpp.
//
// A server in its sandbox opens no files. So the places are opened before, and stay open until the process ends;
// afterwards they are only read, written, locked and emptied.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

class Place {
  public:
    struct Status {
        uint64_t size;   // in bytes
        int64_t changed; // when; later times are greater
    };

    // The file PATH, which is created for this user alone. Nothing if it is a link, or not a file of this user.
    // Children inherit it if FOR_CHILDREN.
    static std::optional<Place> open(const std::string &path, bool for_children);

    // What a parent opened for its children, and calls NUMBER; nothing if that is no file of this user.
    static std::optional<Place> inherited(int number);

    // The number for inherited(); negative if the system does not let children inherit it.
    int number() const;

    std::optional<Status> status() const;

    // False if another process prevents it. In one process, a lock does not exclude other threads.
    bool lock(bool exclusively) const;
    void unlock() const;

    bool clear() const;
    bool read(uint64_t offset, void *bytes, size_t size) const;
    bool write(uint64_t offset, const void *bytes, size_t size) const;

  private:
    explicit Place(std::intptr_t opened) : handle(opened) {}

    std::intptr_t handle;
};
