// The state of the server of this process. The engine calls its hooks without an argument for it, so there is one.

#pragma once

#include "server/browser.h"
#include "server/pages.h"
#include "server/unix_socket.h"

#include <atomic>
#include <cstdint>
#include <string>

struct Session {
    bool is_chat = true;             // false if the process only serves, without a chat in the terminal
    bool has_alias = false;          // the user named the model; otherwise responses repeat the name in the request
    bool limits_requests = false;    // see limits.cpp; not while options are parsed, which the user may set as he likes
    int shutdown_seconds = 25;       // for the answers that are running when the server is to end; Kubernetes allows 30
    bool is_router = false;          // it serves several models, by children
    bool has_workers = false;        // other hosts compute a part of the model
    std::string first_model;         // of several
    uint64_t models_memory = 0;      // that several may take, in bytes; 0: what is available
    int disk_cache_mebibytes = 2048; // for the states of system prompts
    std::atomic<bool> is_announced{false};
    std::string page_path = "/"; // of the web page, in URLs
    Pages pages;
    Browser browser;
    UnixSockets sockets;
};

Session &session();
