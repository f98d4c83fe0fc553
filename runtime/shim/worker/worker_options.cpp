#include "worker/worker_options.h"

#include "base/csv.h"
#include "base/text.h"
#include "base/user_error.h"
#include "rpc/tcp.h"

#include <cstdio>
#include <functional>
#include <map>

namespace {

constexpr const char USAGE[] =
    R"(usage: llamafile-rpc-server [-H HOST --allow ADDRESS,…] [-p PORT] [OPTION…]

Computes a part of a model for a llamafile on another host, which names this one by --rpc HOST:PORT.

  -H, --host HOST       address to listen on (default: 127.0.0.1)
  -p, --port N          port to listen on (default: 50052)
  --allow ADDRESS,…     addresses and networks that may connect, such as 10.0.0.2,10.0.1.0/24
  --insecure            let everyone connect who reaches the port
  -t, --threads N       threads to compute with
  -d, --device NAME,…   devices to compute with
  --gpu WHICH           GPUs to compute with, as of llamafile
  --list-devices        print the devices, and exit
  --max-memory SIZE     give a program at most so much memory, such as 12G
  -m, --model FILE      weights that need not be sent, because they are here (default: those in this file)
  -c, --cache           keep tensors that are sent, for the next time
  --cache-size SIZE     keep at most so much (default: 10G)
  --cache-dir DIR       keep them there
  --unsecure            no sandbox
  -h, --help            print this text and exit

The protocol has neither passwords nor encryption: anyone who can connect can read what is computed, and use
this machine's memory and processors. Never open the port to a network that others use.
)";

constexpr uint64_t LARGEST = uint64_t{1} << 50;

int parse_number(const std::string &name, const std::string &text, int least, int most) {
    const bool is_number =
        !text.empty() && text.size() < 8 && text.find_first_not_of("0123456789") == std::string::npos;
    const int number = is_number ? std::stoi(text) : least - 1;
    if (number < least || number > most) {
        throw UserError(name + " takes a number from " + std::to_string(least) + " to " + std::to_string(most) +
                        ", not '" + text + "'");
    }
    return number;
}

uint64_t parse_size(const std::string &name, const std::string &text) {
    static const std::map<char, int> units = {{'K', 10}, {'M', 20}, {'G', 30}, {'T', 40}};
    const std::string digits = text.substr(0, text.find_first_not_of("0123456789"));
    const std::string unit = text.substr(digits.size());
    const auto found = unit.size() == 1
                           ? units.find(unit[0] == lower_case(unit)[0] ? char(unit[0] - 'a' + 'A') : unit[0])
                           : units.end();
    const bool is_size = !digits.empty() && digits.size() < 8 && found != units.end();
    const uint64_t size = is_size ? std::stoull(digits) << found->second : 0;
    if (size == 0 || size > LARGEST) {
        throw UserError(name + " takes a size such as 12G or 800M, not '" + text + "'");
    }
    return size;
}

using Setter = std::function<void(WorkerOptions &, const std::string &name, const std::string &value)>;

struct Declared {
    bool has_value;
    Setter set;
};

const std::map<std::string, Declared> &declared() {
    using Options = WorkerOptions;
    using Text = std::string;
    static const std::map<std::string, Declared> all = {
        {"--host", {true, [](Options &to, const Text &, const Text &value) { to.host = value; }}},
        {"--port",
         {true,
          [](Options &to, const Text &name, const Text &value) { to.port = parse_number(name, value, 0, 65535); }}},
        {"--allow", {true, [](Options &to, const Text &, const Text &value) { to.allowed = AddressList(value); }}},
        {"--insecure", {false, [](Options &to, const Text &, const Text &) { to.is_insecure = true; }}},
        {"--threads",
         {true,
          [](Options &to, const Text &name, const Text &value) { to.threads = parse_number(name, value, 1, 512); }}},
        {"--device", {true, [](Options &to, const Text &, const Text &value) { to.devices = split_csv(value); }}},
        {"--max-memory",
         {true, [](Options &to, const Text &name, const Text &value) { to.memory_max = parse_size(name, value); }}},
        {"--model", {true, [](Options &to, const Text &, const Text &value) { to.model = value; }}},
        {"--cache", {false, [](Options &to, const Text &, const Text &) { to.has_cache = true; }}},
        {"--cache-size",
         {true,
          [](Options &to, const Text &name, const Text &value) {
              to.cache_size = parse_size(name, value);
              to.has_cache = true;
          }}},
        {"--cache-dir",
         {true,
          [](Options &to, const Text &, const Text &value) {
              to.cache_folder = value;
              to.has_cache = true;
          }}},
        {"--unsecure", {false, [](Options &to, const Text &, const Text &) { to.has_sandbox = false; }}},
        {"--help", {false, [](Options &to, const Text &, const Text &) { to.prints_help = true; }}},
    };
    return all;
}

std::string long_name(const std::string &name) {
    static const std::map<std::string, std::string> others = {
        {"-H", "--host"},  {"-p", "--port"},  {"-t", "--threads"}, {"-d", "--device"}, {"-dev", "--device"},
        {"-m", "--model"}, {"-c", "--cache"}, {"-h", "--help"},    {"-help", "--help"}};
    const auto found = others.find(name);
    return found == others.end() ? normalised(name) : found->second;
}

bool is_loopback_name(const std::string &host) {
    const std::optional<Address> address = parse_address(host);
    return host == "localhost" || (address && is_loopback_address(*address));
}

} // namespace

WorkerOptions parse_worker_options(const Arguments &arguments) {
    WorkerOptions options;
    for (size_t at = 0; at < arguments.size(); ++at) {
        const std::string name = long_name(arguments[at]);
        const auto option = declared().find(name);
        if (option == declared().end()) {
            throw UserError("llamafile-rpc-server has no option '" + arguments[at] + "'; --help prints all");
        }
        if (option->second.has_value && at + 1 == arguments.size()) {
            throw UserError(name + " needs a value");
        }
        option->second.set(options, name, option->second.has_value ? arguments[++at] : "");
    }
    if (!options.prints_help && !is_loopback_name(options.host) && options.allowed.is_empty() && !options.is_insecure) {
        throw UserError("on " + options.host +
                        " other hosts can connect, and the protocol has neither passwords nor"
                        " encryption: name those that may by --allow, such as --allow 10.0.0.0/24, or accept everyone"
                        " by --insecure");
    }
    return options;
}

void print_worker_usage() {
    std::fputs(USAGE, stdout);
}
