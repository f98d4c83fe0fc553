// Origins of web pages (RFC 6454), and the hosts in them.

#pragma once

#include <optional>
#include <string>
#include <string_view>

struct Origin {
    std::string scheme, host; // lower case; the host of IPv6 in brackets
    int port = 0;             // the scheme's own where the text has none; 0 if that is unknown

    bool operator==(const Origin &other) const {
        return scheme == other.scheme && host == other.host && port == other.port;
    }
};

// An address as the header Host and origins have it: HOST or HOST:PORT.
struct Authority {
    std::string host; // lower case, without a final dot
    int port = 0;     // 0 if the text has none
};

// SCHEME://HOST or SCHEME://HOST:PORT and nothing else, as browsers send it; nothing for other text, such as `null`.
std::optional<Origin> parse_origin(std::string_view text);

// True for what the option --allow-origin takes: an origin, `null` of pages that have none, `*` for all, and
// `localhost`, which the engine's option has for pages of this machine.
bool is_allowable_origin(std::string_view text);

std::optional<Authority> parse_authority(std::string_view text);

// True if HOST is this machine by its name or its address, wherever the name is resolved.
bool is_loopback(std::string_view host);

// True if no stranger can give HOST the address of this machine: an address, a name without a dot, or one of a domain
// that is reserved for local networks (RFC 6761, RFC 6762, RFC 8375, and .internal of ICANN).
bool is_local_name(std::string_view host);
