// FNV-1a of 64 bits: a digest that guards against mistakes, not against attacks.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

class Digest {
  public:
    void add(const void *data, size_t size) {
        const auto *bytes = static_cast<const unsigned char *>(data);
        for (size_t i = 0; i < size; ++i) {
            state = (state ^ bytes[i]) * 0x100000001b3;
        }
    }

    void add(const std::string &text) { add(text.c_str(), text.size() + 1); }

    template <typename Number> void add_number(Number number) { add(&number, sizeof number); }

    uint64_t value() const { return state; }

  private:
    uint64_t state = 0xcbf29ce484222325;
};
