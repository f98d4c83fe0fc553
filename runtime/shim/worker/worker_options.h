// The command line of llamafile-rpc-server.

#pragma once

#include "base/arguments.h"
#include "worker/address_list.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

struct WorkerOptions {
    bool prints_help = false;
    std::string host = "127.0.0.1";
    int port = 50052;
    int threads = 0; // 0: as many as this process may use
    std::vector<std::string> devices;
    std::optional<uint64_t> memory_max;
    std::string model; // empty: the one in the program's own file
    bool has_cache = false;
    uint64_t cache_size = uint64_t{10} << 30;
    std::string cache_folder;
    AddressList allowed;
    bool is_insecure = false;
    bool has_sandbox = true;
};

// Throws UserError.
WorkerOptions parse_worker_options(const Arguments &arguments);

void print_worker_usage();
