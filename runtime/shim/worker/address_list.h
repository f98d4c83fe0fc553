// The addresses that may use a worker.

#pragma once

#include "rpc/tcp.h"

#include <string>
#include <vector>

class AddressList {
  public:
    AddressList() = default;

    // Addresses and networks such as 10.0.0.0/24 or fd00::/64, separated by commas. Throws UserError.
    explicit AddressList(const std::string &text);

    bool is_empty() const { return networks.empty(); }
    bool has(const Address &address) const;

  private:
    struct Network {
        Address address;
        int bits; // at its beginning that all of its addresses have, of 128
    };

    static Network parse(const std::string &text);

    std::vector<Network> networks;
};
