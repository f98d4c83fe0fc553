// The engine's RPC backend, compiled here and not in the engine's build: its clients ask for the hash of small tensors
// too, and workers have a loop of their own around its functions.

#include "base/message.h"
#include "base/user_error.h"
#include "rpc/engine_source.h"
#include "rpc/messages.h"
#include "rpc/tcp.h"
#include "rpc/worker_list.h"
#include "rpc/workers.h"

#include <chrono>
#include <thread>

// The client.

namespace {

// Smaller tensors are sent without a question, which would be longer than a tenth of them. The engine asks from 10 MiB,
// so it sends all weights of small models, and a third of those of large ones.
constexpr size_t ASK_FROM = 4096;

// A worker that knows none of the first tensors has no weights, and the hashes of the others are not computed.
constexpr size_t QUESTIONS_IN_VAIN = 16;

struct Questions {
    size_t asked = 0;
    size_t known = 0;

    bool are_in_vain() const { return known == 0 && asked >= QUESTIONS_IN_VAIN; }
};

// Asks the worker whether it has the bytes; then it has set them.
bool is_known(rpc_dispatcher &dispatcher, const rpc_tensor &tensor, const void *data, size_t offset, size_t size) {
    static std::map<const rpc_dispatcher *, Questions> questions; // of the thread that loads the model
    Questions &here = questions[&dispatcher];
    if (here.are_in_vain()) {
        return false;
    }
    auto probe = std::make_shared<rpc_msg_set_tensor_hash_req>();
    probe->tensor = tensor;
    probe->offset = offset;
    probe->hash = fnv_hash(static_cast<const uint8_t *>(data), size);
    rpc_msg_set_tensor_hash_rsp answer{};
    dispatcher.send(RPC_CMD_SET_TENSOR_HASH, probe, sizeof *probe, &answer, sizeof answer);
    ++here.asked;
    here.known += answer.result != 0 ? 1 : 0;
    return answer.result != 0;
}

void set_weights(ggml_backend_buffer_t buffer, ggml_tensor *tensor, const void *data, size_t offset, size_t size) {
    if (size < ASK_FROM || tensor->buffer->usage != GGML_BACKEND_BUFFER_USAGE_WEIGHTS) {
        ggml_backend_rpc_buffer_set_tensor(buffer, tensor, data, offset, size);
        return;
    }
    const auto *context = static_cast<ggml_backend_rpc_buffer_context *>(buffer->context);
    const rpc_tensor serialized = serialize_tensor(tensor);
    if (is_known(*context->dispatcher, serialized, data, offset, size)) {
        return;
    }
    size_t message_size = 0;
    const auto message = serialize_set_tensor(serialized, 1, offset, data, size, message_size);
    context->dispatcher->send(RPC_CMD_SET_TENSOR, message, message_size);
}

using Dispatchers = std::vector<std::shared_ptr<rpc_dispatcher>>;

// Never destroyed: the engine would connect anew when its last user is gone, which the sandbox refuses.
Dispatchers &dispatchers() {
    static auto *all = new Dispatchers;
    return *all;
}

// Any message with an answer: it is sent by the thread of the connection.
void ask_something(rpc_dispatcher &dispatcher) {
    auto request = std::make_shared<rpc_msg_get_alignment_req>();
    request->device = 0;
    rpc_msg_get_alignment_rsp response{};
    dispatcher.send(RPC_CMD_GET_ALIGNMENT, request, sizeof *request, &response, sizeof response);
}

using Clock = std::chrono::steady_clock;

constexpr auto PAUSE = std::chrono::seconds(1);

std::shared_ptr<rpc_dispatcher> dispatcher_for(const std::string &endpoint, Clock::time_point deadline) {
    for (;;) {
        try {
            return get_dispatcher(endpoint);
        } catch (const PeerError &error) {
            throw UserError(error.what());
        } catch (const NetworkError &error) {
            if (Clock::now() >= deadline) {
                throw UserError(error.what());
            }
            std::this_thread::sleep_for(PAUSE);
        }
    }
}

void connect_worker(const WorkerName &worker, Clock::time_point deadline) {
    const std::string endpoint = encoded_host(worker.host) + ":" + std::to_string(worker.port);
    dispatchers().push_back(dispatcher_for(endpoint, deadline));
    ggml_backend_reg_t devices = ggml_backend_rpc_add_server(endpoint.c_str());
    if (devices == nullptr) {
        throw UserError("the worker " + worker.host + " has no devices to compute with");
    }
    ggml_backend_register(devices);
}

} // namespace

void register_rpc_backend() {
    ggml_backend_rpc_buffer_interface.set_tensor = set_weights;
    ggml_backend_register(ggml_backend_rpc_reg());
}

void connect_workers(const std::string &list, int seconds) {
    const std::vector<WorkerName> workers = parse_workers(list);
    register_rpc_backend();
    const Clock::time_point deadline = Clock::now() + std::chrono::seconds(seconds);
    for (const WorkerName &worker : workers) {
        connect_worker(worker, deadline);
    }
}

void confine_worker_threads(void (*confine)()) {
    call_before_sending(confine);
    for (const std::shared_ptr<rpc_dispatcher> &dispatcher : dispatchers()) {
        ask_something(*dispatcher);
    }
}

// The worker.

struct WorkerEngine::State {
    std::vector<ggml_backend_ptr> backends;
    std::unique_ptr<rpc_server> server;
    std::map<uint64_t, uint64_t> allocated; // sizes of the client's buffers
    uint64_t memory_max = 0;

    uint64_t used() const {
        uint64_t sum = 0;
        for (const auto &[buffer, size] : allocated) {
            sum += size;
        }
        return sum;
    }

    uint64_t largest() const {
        uint64_t most = 0;
        for (const auto &[buffer, size] : allocated) {
            most = std::max(most, size);
        }
        return most;
    }
};

WorkerEngine::WorkerEngine(const std::vector<ggml_backend_dev_t> &devices, int threads, uint64_t memory_max)
    : state(std::make_unique<State>()) {
    state->memory_max = memory_max;
    std::vector<ggml_backend_t> backends;
    for (ggml_backend_dev_t device : devices) {
        state->backends.emplace_back(ggml_backend_dev_init(device, nullptr));
        if (state->backends.back() == nullptr) {
            throw std::runtime_error(std::string("the engine cannot use ") + ggml_backend_dev_name(device));
        }
        backends.push_back(state->backends.back().get());
        const auto set_threads = reinterpret_cast<ggml_backend_set_n_threads_t>(
            ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), "ggml_backend_set_n_threads"));
        if (set_threads != nullptr) {
            set_threads(backends.back(), threads);
        }
    }
    state->server = std::make_unique<rpc_server>(backends, nullptr);
}

WorkerEngine::~WorkerEngine() {
    state->server.reset(); // its buffers need the backends
}

Command WorkerEngine::command_of(uint8_t byte) {
    static const std::map<uint8_t, Command> special = {
        {RPC_CMD_HELLO, Command::HELLO},
        {RPC_CMD_SET_TENSOR, Command::SET},
        {RPC_CMD_SET_TENSOR_HASH, Command::PROBE},
    };
    const auto found = special.find(byte);
    if (found != special.end()) {
        return found->second;
    }
    return rules().count(byte) == 0 ? Command::UNKNOWN : Command::OTHER;
}

size_t WorkerEngine::hello_size() {
    return sizeof(rpc_msg_hello_req);
}

Bytes WorkerEngine::hello_answer() {
    return bytes_of(
        rpc_msg_hello_rsp{RPC_PROTO_MAJOR_VERSION, RPC_PROTO_MINOR_VERSION, RPC_PROTO_PATCH_VERSION, 0, {}});
}

size_t WorkerEngine::size_min(uint8_t byte) {
    const auto rule = rules().find(byte);
    return rule == rules().end() ? NO_SUCH_MESSAGE : rule->second.size;
}

size_t WorkerEngine::size_max(uint8_t byte) const {
    const auto rule = rules().find(byte);
    if (rule == rules().end()) {
        return 0;
    }
    if (!rule->second.is_open) {
        return rule->second.size;
    }
    return byte == RPC_CMD_SET_TENSOR ? SET_HEADER + state->largest() : GRAPH_MAX;
}

std::optional<Bytes> WorkerEngine::answer(uint8_t byte, const Bytes &message) {
    last_error.clear();
    if (byte == RPC_CMD_DEVICE_COUNT) {
        return bytes_of(rpc_msg_device_count_rsp{static_cast<uint32_t>(state->backends.size())});
    }
    if (byte == RPC_CMD_ALLOC_BUFFER) {
        return allocate(message);
    }
    if (byte == RPC_CMD_GRAPH_COMPUTE) {
        check_graph(message);
    }
    check_region(byte, message);
    std::optional<Bytes> result = rules().at(byte).answer(*state->server, message);
    if (byte == RPC_CMD_FREE_BUFFER) {
        state->allocated.erase(read_as<rpc_msg_free_buffer_req>(message).remote_ptr);
    }
    return byte == RPC_CMD_GET_DEVICE_MEMORY && result ? limited_memory(*result) : result;
}

// No more than the client may have: the engine divides the model by these numbers.
Bytes WorkerEngine::limited_memory(const Bytes &answer) const {
    auto memory = read_as<rpc_msg_get_device_memory_rsp>(answer);
    const uint64_t used = state->used();
    memory.total_mem = std::min(memory.total_mem, state->memory_max);
    memory.free_mem = std::min(memory.free_mem, state->memory_max - std::min(used, state->memory_max));
    return bytes_of(memory);
}

// A buffer that is not allocated is an answer of the protocol.
Bytes WorkerEngine::allocate(const Bytes &message) {
    const auto request = read_as<rpc_msg_alloc_buffer_req>(message);
    const uint64_t used = state->used();
    rpc_msg_alloc_buffer_rsp response{};
    if (used > state->memory_max || request.size > state->memory_max - used) {
        log_line("a program asked for " + std::to_string(request.size >> 20) + " MiB more, and --max-memory leaves " +
                 std::to_string((state->memory_max - std::min(used, state->memory_max)) >> 20) + " MiB");
        return bytes_of(response);
    }
    require(state->server->alloc_buffer(request, response));
    if (response.remote_ptr != 0) {
        state->allocated[response.remote_ptr] = response.remote_size;
    }
    return bytes_of(response);
}

HashProbe WorkerEngine::probe_in(const Bytes &message) {
    const auto request = read_as<rpc_msg_set_tensor_hash_req>(message);
    const std::string name(request.tensor.name, strnlen(request.tensor.name, sizeof request.tensor.name));
    return {name, size_of(request.tensor), request.offset, request.hash};
}

Bytes WorkerEngine::answer_to_probe(bool is_known) {
    return bytes_of(rpc_msg_set_tensor_hash_rsp{static_cast<uint8_t>(is_known ? 1 : 0)});
}

Bytes WorkerEngine::setting(const Bytes &message, uint64_t size) {
    const auto request = read_as<rpc_msg_set_tensor_hash_req>(message);
    Bytes bytes(SET_HEADER + size);
    std::memcpy(bytes.data(), &request.tensor, sizeof request.tensor);
    std::memcpy(bytes.data() + KEEP_FLAG + 1, &request.offset, sizeof request.offset);
    return bytes;
}

uint8_t WorkerEngine::set_command() {
    return RPC_CMD_SET_TENSOR;
}

bool WorkerEngine::asks_to_keep(const Bytes &message) {
    return message[KEEP_FLAG] != 0;
}

size_t WorkerEngine::set_header_size() {
    return SET_HEADER;
}

uint64_t WorkerEngine::hash_of(const uint8_t *bytes, size_t size) {
    return fnv_hash(bytes, size);
}

std::string WorkerEngine::version() {
    return std::to_string(RPC_PROTO_MAJOR_VERSION) + "." + std::to_string(RPC_PROTO_MINOR_VERSION) + "." +
           std::to_string(RPC_PROTO_PATCH_VERSION);
}
