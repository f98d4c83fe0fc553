// The messages of the protocol: their sizes, what the engine does for them, and checks of what they name. The engine's
// own functions trust them.

#pragma once

#include "rpc/engine_source.h"

#include <map>
#include <unordered_set>

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
