// Who may use the server: a browser sends requests for any web page that it shows, and this machine is in its reach.

#pragma once

#include "base/origin.h"

#include <string>
#include <vector>

// What the headers of a request say about its sender. A client that is no browser sends no Origin, and is never refused
// for that.
struct Sender {
    std::string origin, host;           // headers; empty if absent
    std::string fetch_site, fetch_mode; // Sec-Fetch-Site and Sec-Fetch-Mode, the same
    bool is_on_loopback = false;        // the request came to an address of this machine that no other reaches
};

class Access {
  public:
    // Allows ORIGIN, which is_allowable_origin().
    void allow_origin(const std::string &origin);

    // Allows the name HOST in the header Host.
    void allow_host(const std::string &host);

    bool allows_all_origins() const { return allows_all; }

    // Why SENDER is refused: a sentence; empty if it is not.
    std::string refusal(const Sender &sender) const;

    // The value of Access-Control-Allow-Origin for a SENDER that is not refused; empty for none.
    std::string allowed_origin(const Sender &sender) const;

  private:
    bool allows(const Sender &sender) const;
    bool allows_host(const std::string &host) const;

    std::vector<Origin> origins;
    std::vector<std::string> hosts;
    bool allows_null = false;
    bool allows_all = false;
};

// The rules of this process's server. The options set them before it listens.
Access &access();
