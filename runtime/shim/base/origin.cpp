#include "base/origin.h"

#include "base/text.h"

#include <algorithm>
#include <cctype>

namespace {

constexpr const char LOCAL_DOMAINS[][12] = {".localhost", ".local", ".internal", ".home.arpa"};
constexpr size_t PORT_DIGITS = 5;
constexpr int PORTS = 65536;

struct Scheme {
    const char *name;
    int port;
};

constexpr Scheme SCHEMES[] = {{"http", 80}, {"https", 443}};

int port_of_scheme(const std::string &scheme) {
    for (const Scheme &known : SCHEMES) {
        if (scheme == known.name) {
            return known.port;
        }
    }
    return 0;
}

bool is_scheme_character(unsigned char character) {
    return std::isalnum(character) != 0 || character == '+' || character == '-' || character == '.';
}

bool is_host_character(unsigned char character) {
    return std::isalnum(character) != 0 || character == '-' || character == '.' || character == '_' ||
           character >= 0x80;
}

bool is_address_character(unsigned char character) {
    return std::isxdigit(character) != 0 || character == ':' || character == '.';
}

bool is_digit(unsigned char character) {
    return std::isdigit(character) != 0;
}

bool is_ipv6(std::string_view host) {
    return host.size() > 2 && host.front() == '[' && host.back() == ']' &&
           std::all_of(host.begin() + 1, host.end() - 1, is_address_character);
}

// Browsers write an IPv4 address as four decimal numbers; another spelling is a name, which a stranger may own.
bool is_ipv4(std::string_view host) {
    size_t numbers = 0;
    for (size_t at = 0; at <= host.size(); ++numbers) {
        const size_t end = std::min(host.find('.', at), host.size());
        const std::string_view number = host.substr(at, end - at);
        if (number.empty() || number.size() > 3 || !std::all_of(number.begin(), number.end(), is_digit)) {
            return false;
        }
        at = end + 1;
    }
    return numbers == 4;
}

} // namespace

std::optional<Authority> parse_authority(std::string_view text) {
    const size_t bracket = text.rfind(']');
    const size_t colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
    Authority authority;
    authority.host = lower_case(std::string(text.substr(0, colon)));
    if (colon != std::string_view::npos) {
        const std::string digits(text.substr(colon + 1));
        if (digits.empty() || digits.size() > PORT_DIGITS || !std::all_of(digits.begin(), digits.end(), is_digit)) {
            return std::nullopt;
        }
        authority.port = std::stoi(digits);
    }
    if (authority.host.ends_with('.')) {
        authority.host.pop_back();
    }
    const std::string &host = authority.host;
    const bool is_name = !host.empty() && std::all_of(host.begin(), host.end(), is_host_character);
    return (is_name || is_ipv6(host)) && authority.port < PORTS ? std::optional(authority) : std::nullopt;
}

std::optional<Origin> parse_origin(std::string_view text) {
    const size_t end = text.find("://");
    if (end == 0 || end == std::string_view::npos ||
        !std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end), is_scheme_character)) {
        return std::nullopt;
    }
    const std::optional<Authority> authority = parse_authority(text.substr(end + 3));
    if (!authority) {
        return std::nullopt;
    }
    const std::string scheme = lower_case(std::string(text.substr(0, end)));
    return Origin{scheme, authority->host, authority->port != 0 ? authority->port : port_of_scheme(scheme)};
}

bool is_allowable_origin(std::string_view text) {
    return text == "*" || text == "null" || text == "localhost" || parse_origin(text);
}

bool is_loopback(std::string_view host) {
    return host == "localhost" || host.ends_with(".localhost") || host == "[::1]" ||
           (is_ipv4(host) && host.starts_with("127."));
}

bool is_local_name(std::string_view host) {
    return is_ipv6(host) || is_ipv4(host) || host.find('.') == std::string_view::npos ||
           std::any_of(std::begin(LOCAL_DOMAINS), std::end(LOCAL_DOMAINS),
                       [&](const char *domain) { return host.ends_with(domain); });
}
