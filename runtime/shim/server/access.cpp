#include "server/access.h"

#include "base/text.h"

#include <algorithm>

namespace {

constexpr const char ALL[] = "*";
constexpr const char OPAQUE[] = "null";

// True if the page of ORIGIN lies at this server, whose address is in the header HOST.
bool is_own_page(const Origin &origin, const std::string &host) {
    const std::optional<Origin> own = parse_origin(origin.scheme + "://" + host);
    return own && own->host == origin.host && own->port == origin.port;
}

} // namespace

void Access::allow_origin(const std::string &origin) {
    allows_all = allows_all || origin == ALL;
    allows_null = allows_null || origin == OPAQUE;
    if (const std::optional<Origin> parsed = parse_origin(origin)) {
        origins.push_back(*parsed);
        hosts.push_back(parsed->host);
    }
}

void Access::allow_host(const std::string &host) {
    hosts.push_back(lower_case(host));
}

bool Access::allows_host(const std::string &host) const {
    const std::optional<Authority> authority = parse_authority(host);
    return authority &&
           (is_local_name(authority->host) || std::find(hosts.begin(), hosts.end(), authority->host) != hosts.end());
}

bool Access::allows(const Sender &sender) const {
    if (allows_all || (allows_null && sender.origin == OPAQUE)) {
        return true;
    }
    const std::optional<Origin> origin = parse_origin(sender.origin);
    return origin && (is_loopback(origin->host) || is_own_page(*origin, sender.host) ||
                      std::find(origins.begin(), origins.end(), *origin) != origins.end());
}

std::string Access::refusal(const Sender &sender) const {
    // A page that gave its own name this machine's address is of the same origin as the server, for the browser.
    if (sender.is_on_loopback && !sender.host.empty() && !allows_all && !allows_host(sender.host)) {
        return "the header Host is '" + escape_controls(sender.host) +
               "', a name that this server does not have; to allow it, start the server with --allow-origin http://" +
               escape_controls(sender.host);
    }
    if (!sender.origin.empty() && !allows(sender)) {
        return "the web page of '" + escape_controls(sender.origin) +
               "' may not use this server; to allow it, start the server with --allow-origin " +
               escape_controls(sender.origin);
    }
    // Scripts, images and the like, for which browsers send no Origin; a link to the server's own page is no danger.
    if (sender.origin.empty() && sender.fetch_site == "cross-site" && sender.fetch_mode != "navigate" && !allows_all) {
        return "the page of another site may not load this; to allow all pages, start the server with --allow-origin "
               "'*'";
    }
    return {};
}

std::string Access::allowed_origin(const Sender &sender) const {
    if (sender.origin.empty()) {
        return {};
    }
    return allows_all ? std::string(ALL) : sender.origin;
}

Access &access() {
    static Access instance;
    return instance;
}
