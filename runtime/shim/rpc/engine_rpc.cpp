// The engine's RPC backend, compiled here and not in the engine's build. Its failures are sentences instead of aborts,
// its clients ask for the hash of small tensors too, and workers have a loop of their own around its functions.

#include "base/message.h"
#include "base/user_error.h"
#include "rpc/lost_worker.h"
#include "rpc/tcp.h"
#include "rpc/transport.h"
#include "rpc/worker_engine.h"
#include "rpc/workers.h"

#include "ggml-backend-impl.h"
#include "ggml-cpp.h"
#include "ggml-impl.h"
#include "ggml-rpc.h"

#include <array>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <map>
#include <thread>

namespace {

thread_local std::string last_error;

std::string formatted(const char *format, va_list values) {
    char text[512];
    std::vsnprintf(text, sizeof text, format, values);
    return text;
}

// In place of the engine's log: the text becomes the reason for what fails next.
__attribute__((format(printf, 1, 2))) void keep_error(const char *format, ...) {
    va_list values;
    va_start(values, format);
    last_error = formatted(format, values);
    va_end(values);
    while (!last_error.empty() && last_error.back() == '\n') {
        last_error.pop_back();
    }
}

// In place of abort(): an exception, which ends the conversation with a client, or the start of this program. In a
// thread that talks with a worker nothing could catch it.
[[noreturn]] __attribute__((format(printf, 1, 2))) void fail(const char *format, ...) {
    va_list values;
    va_start(values, format);
    const std::string reason = formatted(format, values);
    va_end(values);
    const std::string worker = worker_of_this_thread();
    if (!worker.empty()) {
        end_without(worker, "its answer makes no sense");
    }
    throw MessageError(last_error.empty() ? reason : last_error);
}

} // namespace

// NOLINTBEGIN
#undef GGML_ABORT
#define GGML_ABORT(...) fail(__VA_ARGS__)
#undef GGML_LOG_ERROR
#define GGML_LOG_ERROR(...) keep_error(__VA_ARGS__)
#include "ggml/src/ggml-rpc/ggml-rpc.cpp"
// NOLINTEND

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

int parse_port(const std::string &text, const std::string &worker) {
    const bool is_number =
        !text.empty() && text.size() < 6 && text.find_first_not_of("0123456789") == std::string::npos;
    const int port = is_number ? std::stoi(text) : 0;
    if (port < 1 || port > 65535) {
        throw UserError("--rpc takes workers as HOST:PORT, separated by commas, not '" + worker + "'");
    }
    return port;
}

WorkerName parse_worker(const std::string &text) {
    const size_t colon = text.rfind(':');
    std::string host = text.substr(0, colon == std::string::npos ? 0 : colon);
    const int port = parse_port(colon == std::string::npos ? "" : text.substr(colon + 1), text);
    const bool has_brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (has_brackets) {
        host = host.substr(1, host.size() - 2);
    }
    if (host.empty() || (!has_brackets && host.find(':') != std::string::npos)) {
        throw UserError(
            "--rpc takes workers as HOST:PORT, separated by commas, with an address of IPv6 in brackets, not '" + text +
            "'");
    }
    return {host, port};
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

std::vector<WorkerName> parse_workers(const std::string &list) {
    std::vector<WorkerName> workers;
    size_t start = 0;
    for (;;) {
        const size_t end = list.find(',', start);
        workers.push_back(parse_worker(list.substr(start, end == std::string::npos ? end : end - start)));
        if (end == std::string::npos) {
            break;
        }
        start = end + 1;
    }
    if (workers.size() > GGML_RPC_MAX_SERVERS) {
        throw UserError("--rpc names " + std::to_string(workers.size()) + " workers, and the engine takes " +
                        std::to_string(GGML_RPC_MAX_SERVERS));
    }
    return workers;
}

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

namespace {

constexpr size_t GRAPH_MAX = size_t{256} << 20;
constexpr size_t GRAPH_MIN = 3 * sizeof(uint32_t);
constexpr size_t SET_HEADER = sizeof(rpc_tensor) + sizeof(uint8_t) + sizeof(uint64_t);
constexpr size_t KEEP_FLAG = sizeof(rpc_tensor);
constexpr size_t NO_SUCH_MESSAGE = SIZE_MAX;

template <typename Message> Message read_as(const Bytes &bytes, size_t offset = 0) {
    Message message{};
    std::memcpy(&message, bytes.data() + offset, sizeof message);
    return message;
}

template <typename Message> Bytes bytes_of(const Message &message) {
    Bytes bytes(sizeof message);
    std::memcpy(bytes.data(), &message, sizeof message);
    return bytes;
}

// Carries out a message that has an answer, and one that has none.
using Answering = std::optional<Bytes> (*)(rpc_server &server, const Bytes &message);

void require(bool is_done) {
    if (!is_done) {
        throw MessageError(last_error.empty() ? "it sent a message that is not valid" : last_error);
    }
}

template <typename Request, typename Response, bool (rpc_server::*function)(const Request &, Response &)>
std::optional<Bytes> answered(rpc_server &server, const Bytes &message) {
    Response response{};
    require((server.*function)(read_as<Request>(message), response));
    return bytes_of(response);
}

template <typename Request, bool (rpc_server::*function)(const Request &)>
std::optional<Bytes> done(rpc_server &server, const Bytes &message) {
    require((server.*function)(read_as<Request>(message)));
    return std::nullopt;
}

template <bool (rpc_server::*function)(const Bytes &)>
std::optional<Bytes> done_with_bytes(rpc_server &server, const Bytes &message) {
    require((server.*function)(message));
    return std::nullopt;
}

std::optional<Bytes> read_tensor(rpc_server &server, const Bytes &message) {
    Bytes content;
    require(server.get_tensor(read_as<rpc_msg_get_tensor_req>(message), content));
    return content;
}

struct Rule {
    size_t size; // of the message: exactly, or at least if it is open
    bool is_open;
    Answering answer; // null: WorkerEngine does it
};

// All of the protocol's commands after the first one.
const std::map<uint8_t, Rule> &rules() {
    using Server = rpc_server;
    static const std::map<uint8_t, Rule> all = {
        {RPC_CMD_DEVICE_COUNT, {0, false, nullptr}},
        {RPC_CMD_ALLOC_BUFFER,
         {sizeof(rpc_msg_alloc_buffer_req), false,
          answered<rpc_msg_alloc_buffer_req, rpc_msg_alloc_buffer_rsp, &Server::alloc_buffer>}},
        {RPC_CMD_GET_ALIGNMENT,
         {sizeof(rpc_msg_get_alignment_req), false,
          answered<rpc_msg_get_alignment_req, rpc_msg_get_alignment_rsp, &Server::get_alignment>}},
        {RPC_CMD_GET_MAX_SIZE,
         {sizeof(rpc_msg_get_max_size_req), false,
          answered<rpc_msg_get_max_size_req, rpc_msg_get_max_size_rsp, &Server::get_max_size>}},
        {RPC_CMD_BUFFER_GET_BASE,
         {sizeof(rpc_msg_buffer_get_base_req), false,
          answered<rpc_msg_buffer_get_base_req, rpc_msg_buffer_get_base_rsp, &Server::buffer_get_base>}},
        {RPC_CMD_FREE_BUFFER,
         {sizeof(rpc_msg_free_buffer_req), false, done<rpc_msg_free_buffer_req, &Server::free_buffer>}},
        {RPC_CMD_BUFFER_CLEAR,
         {sizeof(rpc_msg_buffer_clear_req), false, done<rpc_msg_buffer_clear_req, &Server::buffer_clear>}},
        {RPC_CMD_MEMSET_TENSOR,
         {sizeof(rpc_msg_memset_tensor_req), false, done<rpc_msg_memset_tensor_req, &Server::memset_tensor>}},
        {RPC_CMD_SET_TENSOR, {SET_HEADER, true, done_with_bytes<&Server::set_tensor>}},
        {RPC_CMD_SET_TENSOR_HASH, {sizeof(rpc_msg_set_tensor_hash_req), false, nullptr}},
        {RPC_CMD_INIT_TENSOR,
         {sizeof(rpc_msg_init_tensor_req), false, done<rpc_msg_init_tensor_req, &Server::init_tensor>}},
        {RPC_CMD_GET_TENSOR, {sizeof(rpc_msg_get_tensor_req), false, read_tensor}},
        {RPC_CMD_COPY_TENSOR,
         {sizeof(rpc_msg_copy_tensor_req), false,
          answered<rpc_msg_copy_tensor_req, rpc_msg_copy_tensor_rsp, &Server::copy_tensor>}},
        {RPC_CMD_GRAPH_COMPUTE, {GRAPH_MIN, true, done_with_bytes<&Server::graph_compute>}},
        {RPC_CMD_GRAPH_RECOMPUTE,
         {sizeof(rpc_msg_graph_recompute_req), false, done<rpc_msg_graph_recompute_req, &Server::graph_recompute>}},
        {RPC_CMD_GET_DEVICE_MEMORY,
         {sizeof(rpc_msg_get_device_memory_req), false,
          answered<rpc_msg_get_device_memory_req, rpc_msg_get_device_memory_rsp, &Server::get_device_memory>}},
        {RPC_CMD_GET_ALLOC_SIZE,
         {sizeof(rpc_msg_get_alloc_size_req), false,
          answered<rpc_msg_get_alloc_size_req, rpc_msg_get_alloc_size_rsp, &Server::get_alloc_size>}},
    };
    return all;
}

// The bytes of the whole tensor. Throws MessageError.
uint64_t size_of(const rpc_tensor &tensor) {
    if (tensor.type >= GGML_TYPE_COUNT || ggml_blck_size(static_cast<ggml_type>(tensor.type)) == 0) {
        throw MessageError("it sent a tensor of an unknown type");
    }
    ggml_tensor described{};
    described.type = static_cast<ggml_type>(tensor.type);
    for (size_t dimension = 0; dimension < GGML_MAX_DIMS; ++dimension) {
        described.ne[dimension] = tensor.ne[dimension];
        described.nb[dimension] = tensor.nb[dimension];
    }
    return ggml_nbytes(&described);
}

// The engine's own functions abort for regions beyond the tensor.
void check_region(const rpc_tensor &tensor, uint64_t offset, uint64_t size) {
    const uint64_t whole = size_of(tensor);
    if (offset > whole || size > whole - offset) {
        throw MessageError("it named bytes beyond the end of a tensor");
    }
}

void check_region(uint8_t byte, const Bytes &message) {
    if (byte == RPC_CMD_SET_TENSOR) {
        check_region(read_as<rpc_tensor>(message), read_as<uint64_t>(message, KEEP_FLAG + 1),
                     message.size() - SET_HEADER);
    } else if (byte == RPC_CMD_GET_TENSOR) {
        const auto request = read_as<rpc_msg_get_tensor_req>(message);
        check_region(request.tensor, request.offset, request.size);
    }
}

// The engine takes the numbers of operations and the references between tensors as they come.
void check_graph(const Bytes &message) {
    const uint64_t nodes = read_as<uint32_t>(message, sizeof(uint32_t));
    const uint64_t tensors_at = 2 * sizeof(uint32_t) + nodes * sizeof(uint64_t) + sizeof(uint32_t);
    if (message.size() < tensors_at) {
        throw MessageError("it sent a graph that is cut short");
    }
    const uint64_t count = read_as<uint32_t>(message, tensors_at - sizeof(uint32_t));
    if (nodes == 0 || message.size() - tensors_at != count * sizeof(rpc_tensor)) {
        throw MessageError("it sent a graph whose size is wrong");
    }
    std::unordered_set<uint64_t> known;
    for (uint64_t index = 0; index < count; ++index) {
        const auto tensor = read_as<rpc_tensor>(message, tensors_at + index * sizeof(rpc_tensor));
        if (tensor.op >= GGML_OP_COUNT || tensor.id == 0 || !known.insert(tensor.id).second) {
            throw MessageError("it sent a graph with an unknown operation, or with a tensor twice");
        }
        size_of(tensor);
    }
    for (uint64_t index = 0; index < nodes; ++index) {
        if (known.count(read_as<uint64_t>(message, 2 * sizeof(uint32_t) + index * sizeof(uint64_t))) == 0) {
            throw MessageError("it sent a graph with a node that is no tensor of it");
        }
    }
}

} // namespace

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
