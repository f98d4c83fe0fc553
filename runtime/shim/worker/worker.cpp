#include "worker/worker.h"

#include "archive/own_container.h"
#include "archive/weights.h"
#include "base/message.h"
#include "base/text.h"
#include "base/user_error.h"
#include "common.h"
#include "ggml.h"
#include "gpu/gpu.h"
#include "resolve/names.h"
#include "rpc/tcp.h"
#include "rpc/worker_engine.h"
#include "sandbox/confinement.h"
#include "sandbox/driver_rights.h"
#include "worker/clients.h"
#include "worker/own_weights.h"
#include "worker/session.h"
#include "worker/tensor_cache.h"
#include "worker/worker_options.h"

#include "ggml-backend.h"

#include <cstdio>
#include <cstdlib>
#include <optional>

namespace {

using Devices = std::vector<ggml_backend_dev_t>;

constexpr unsigned MEBI = 20;

// Replaces abort(): what a client sends is no crash of ours.
void end_on_assertion(const char *message) {
    log_line(std::string("what a program sent is against the engine's rules, and ends its connection: ") + message);
    std::_Exit(1);
}

std::string names_of_devices() {
    std::vector<std::string> names;
    names.reserve(ggml_backend_dev_count());
    for (size_t index = 0; index < ggml_backend_dev_count(); ++index) {
        names.emplace_back(ggml_backend_dev_name(ggml_backend_dev_get(index)));
    }
    return join(names, ", ");
}

Devices devices_of(const WorkerOptions &options) {
    Devices devices;
    for (const std::string &name : options.devices) {
        devices.push_back(ggml_backend_dev_by_name(name.c_str()));
        if (devices.back() == nullptr) {
            throw UserError("there is no device '" + name + "', but " + names_of_devices());
        }
    }
    for (size_t index = 0; options.devices.empty() && index < ggml_backend_dev_count(); ++index) {
        ggml_backend_dev_t device = ggml_backend_dev_get(index);
        if (ggml_backend_dev_type(device) != GGML_BACKEND_DEVICE_TYPE_CPU &&
            ggml_backend_dev_type(device) != GGML_BACKEND_DEVICE_TYPE_ACCEL) {
            devices.push_back(device);
        }
    }
    if (devices.empty()) {
        devices.push_back(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU));
    }
    return devices;
}

uint64_t memory_of(const Devices &devices) {
    uint64_t sum = 0;
    for (ggml_backend_dev_t device : devices) {
        size_t free = 0;
        size_t total = 0;
        ggml_backend_dev_memory(device, &free, &total);
        sum += total;
    }
    return sum;
}

// The weights that the user names, else all in the program's own file.
OwnWeights weights_for(const WorkerOptions &options) {
    OwnWeights weights;
    if (!options.model.empty()) {
        const Arguments resolved = resolve_names({"-m", options.model});
        weights.add(resolved[1]);
        return weights;
    }
    for (const zip::Member *member : weights_of(*own_container())) {
        weights.add(member->name);
    }
    return weights;
}

std::optional<TensorCache> cache_for(const WorkerOptions &options) {
    if (!options.has_cache) {
        return std::nullopt;
    }
    return TensorCache(options.cache_folder.empty() ? TensorCache::default_folder() : options.cache_folder,
                       options.cache_size);
}

Rights rights_for(const std::optional<TensorCache> &cache) {
    Rights rights;
    rights.serve = true;
    if (cache) {
        rights.read_files = rights.write_files = true;
        rights.writable.push_back(cache->path());
    }
    if (!gpus_in_use().empty()) {
        add_driver_rights(rights);
    }
    return rights;
}

void confine(const std::optional<TensorCache> &cache) {
    static bool is_confined = false;
    if (is_confined) {
        return;
    }
    is_confined = true;
    const Rights rights = rights_for(cache);
    confine_paths(rights);
    const Confinement result = confine_calls(rights);
    if (result.strength == Confinement::Strength::NONE) {
        log_line("there is no sandbox: " + result.weakness + "; --unsecure says that this is known");
    }
}

class Worker {
  public:
    explicit Worker(const WorkerOptions &given)
        : options(given), devices(devices_of(given)), weights(weights_for(given)), cache(cache_for(given)),
          listener(listen(given)) {
        weights.open();
    }

    void run() {
        ggml_set_abort_callback(end_on_assertion);
        announce();
        serve_clients(
            listener, gpus_in_use().empty(), [this](const Visitor &visitor) { return accepts(visitor); },
            [this](const Visitor &client) { return serve(client); });
    }

  private:
    static Listener listen(const WorkerOptions &options) {
        try {
            return Listener(options.host, options.port);
        } catch (const NetworkError &error) {
            throw UserError("cannot listen on " + options.host + " port " + std::to_string(options.port) + ": " +
                            error.what());
        }
    }

    uint64_t memory_max() const { return options.memory_max.value_or(memory_of(devices)); }

    int threads() const { return options.threads > 0 ? options.threads : common_cpu_get_num_math(); }

    void announce() const {
        for (ggml_backend_dev_t device : devices) {
            log_line(std::string("computes with ") + ggml_backend_dev_name(device) + ": " +
                     ggml_backend_dev_description(device));
        }
        log_line("gives a program at most " + std::to_string(memory_max() >> MEBI) + " MiB of memory, and " +
                 std::to_string(threads()) + " threads");
        log_line(weights.count() == 0 ? "has no weights of its own, so all are sent to it"
                                      : "has " + std::to_string(weights.count()) + " tensors, which need not be sent");
        if (cache) {
            log_line("keeps tensors in '" + cache->path() + "'");
        }
        if (options.is_insecure && options.allowed.is_empty()) {
            log_line("everyone who reaches this port can use it and read what it computes (--insecure)");
        }
        log_line("listening on " + options.host + " port " + std::to_string(listener.port()) +
                 ", without passwords and encryption");
    }

    bool accepts(const Visitor &visitor) const {
        const bool is_named = options.allowed.is_empty() || options.allowed.has(visitor.address);
        if (!is_named) {
            log_line("refuses " + visitor.name + ", which --allow does not name");
        }
        return is_named;
    }

    std::string serve(const Visitor &client) {
        try {
            WorkerEngine engine(devices, threads(), memory_max());
            if (options.has_sandbox) {
                confine(cache);
            }
            weights.hash_ahead();
            WorkerSession session(client.connection, engine, weights, cache ? &*cache : nullptr);
            log_line("serves " + client.name);
            session.run();
            return "has served " + client.name + ": it sent " + std::to_string(session.count().received >> MEBI) +
                   " MiB, and " + std::to_string(session.count().from_disk >> MEBI) + " MiB of tensors were here";
        } catch (const std::exception &error) {
            return "ends the connection to " + client.name + ": " + error.what();
        }
    }

    const WorkerOptions &options;
    Devices devices;
    OwnWeights weights;
    std::optional<TensorCache> cache;
    Listener listener;
};

} // namespace

int run_worker(int argc, char **argv) {
    const WorkerOptions options = parse_worker_options({argv + 1, argv + argc});
    if (options.prints_help) {
        print_worker_usage();
        return 0;
    }
    Worker(options).run();
    return 0;
}
