#include "worker/address_list.h"

#include "base/text.h"
#include "base/user_error.h"

#include <algorithm>

namespace {

constexpr int BITS = 128;
constexpr int BITS_BEFORE_IPV4 = 96;
constexpr int BITS_OF_BYTE = 8;

bool has_prefix(const Address &address, const Address &network, int bits) {
    for (int bit = 0; bit < bits; ++bit) {
        const int mask = 1 << (BITS_OF_BYTE - 1 - bit % BITS_OF_BYTE);
        if (((address.bytes[bit / BITS_OF_BYTE] ^ network.bytes[bit / BITS_OF_BYTE]) & mask) != 0) {
            return false;
        }
    }
    return true;
}

} // namespace

AddressList::AddressList(const std::string &text) {
    for (const std::string &network : split_at(',', text)) {
        networks.push_back(parse(network));
    }
}

AddressList::Network AddressList::parse(const std::string &text) {
    const size_t slash = text.find('/');
    const std::string host = text.substr(0, slash);
    const std::optional<Address> address = parse_address(host);
    const int before = host.find(':') == std::string::npos ? BITS_BEFORE_IPV4 : 0;
    const std::string number = slash == std::string::npos ? std::to_string(BITS - before) : text.substr(slash + 1);
    const bool is_number =
        !number.empty() && number.size() < 4 && number.find_first_not_of("0123456789") == std::string::npos;
    const int bits = is_number ? before + std::stoi(number) : BITS + 1;
    if (!address || bits > BITS) {
        throw UserError("--allow takes addresses and networks, such as 10.0.0.2,10.0.1.0/24, not '" + text + "'");
    }
    return {*address, bits};
}

bool AddressList::has(const Address &address) const {
    return std::any_of(networks.begin(), networks.end(),
                       [&](const Network &network) { return has_prefix(address, network.address, network.bits); });
}
