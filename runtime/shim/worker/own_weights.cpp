#include "worker/own_weights.h"

#include "archive/reference.h"
#include "archive/shard_name.h"
#include "base/user_error.h"

#include "ggml.h"
#include "gguf.h"

#include <algorithm>
#include <memory>

namespace {

constexpr size_t AHEAD = 8; // tensors

using Gguf = std::unique_ptr<gguf_context, decltype(&gguf_free)>;

Gguf header_of(const std::string &name) {
    const gguf_init_params parameters = {/*.no_alloc =*/true, /*.ctx =*/nullptr};
    Gguf header(gguf_init_from_file(name.c_str(), parameters), gguf_free);
    if (header == nullptr) {
        throw UserError("cannot read the weights '" + name + "': it is no GGUF file, or damaged");
    }
    return header;
}

bool read_at(std::FILE *file, uint64_t offset, uint8_t *target, uint64_t size) {
    return file != nullptr && seek(file, offset) && std::fread(target, 1, size, file) == size;
}

} // namespace

void OwnWeights::add(const std::string &name) {
    if (const std::optional<ShardName> shard = parse_shard_name(name)) {
        for (int number = 1; number <= shard->count; ++number) {
            add_part(shard_path(*shard, number));
        }
    } else {
        add_part(name);
    }
    hashes.resize(tensors.size());
}

void OwnWeights::add_part(const std::string &name) {
    std::string path = name;
    if (!is_on_disk(name)) {
        const MemberReference reference = member_named(name);
        if (!reference) {
            throw UserError(missing_file_message(name));
        }
        path = reference.container->location();
    }
    const Gguf header = header_of(name);
    const uint64_t data = gguf_get_data_offset(header.get()); // of a member too: from the start of its file
    for (int64_t index = 0; index < gguf_get_n_tensors(header.get()); ++index) {
        names.emplace(gguf_get_tensor_name(header.get(), index), tensors.size());
        tensors.push_back({parts.size(), data + gguf_get_tensor_offset(header.get(), index),
                           gguf_get_tensor_size(header.get(), index)});
    }
    parts.push_back({path, nullptr, nullptr});
}

OwnWeights::OwnWeights(OwnWeights &&other) noexcept
    : parts(std::move(other.parts)), tensors(std::move(other.tensors)), names(std::move(other.names)),
      hashes(std::move(other.hashes)) {}

OwnWeights::~OwnWeights() {
    {
        const std::lock_guard<std::mutex> lock(mutex);
        ends = true;
    }
    asked.notify_all();
    if (thread.joinable()) {
        thread.join();
    }
}

void OwnWeights::open() {
    for (Part &part : parts) {
        part.front = open_file(part.path, "rb");
        part.ahead = open_file(part.path, "rb"); // its position is its thread's
        if (part.front == nullptr || part.ahead == nullptr) {
            throw UserError("cannot open '" + part.path + "' again");
        }
        std::setvbuf(part.front.get(), nullptr, _IONBF, 0); // or fread() copies twice
        std::setvbuf(part.ahead.get(), nullptr, _IONBF, 0);
    }
}

std::vector<size_t> OwnWeights::candidates(const std::string &name, uint64_t size) const {
    std::vector<size_t> found;
    const auto [begin, end] = names.equal_range(name);
    for (auto entry = begin; entry != end; ++entry) {
        if (tensors[entry->second].size == size) {
            found.push_back(entry->second);
        }
    }
    return found;
}

bool OwnWeights::has(const std::string &name, uint64_t size) const {
    return !candidates(name, size).empty();
}

std::optional<uint64_t> OwnWeights::known_hash(size_t index) {
    const std::lock_guard<std::mutex> lock(mutex);
    next = std::max(next, index + 1);
    last = std::min(index + 1 + AHEAD, tensors.size());
    asked.notify_all();
    return hashes[index];
}

bool OwnWeights::read(const std::string &name, uint64_t size, uint64_t hash, uint8_t *target) {
    const std::vector<size_t> found = candidates(name, size);
    return std::any_of(found.begin(), found.end(), [&](size_t index) { return read_candidate(index, hash, target); });
}

bool OwnWeights::read_candidate(size_t index, uint64_t hash, uint8_t *target) {
    std::optional<uint64_t> known = known_hash(index);
    if (known && *known != hash) {
        return false;
    }
    const Tensor &tensor = tensors[index];
    if (!read_at(parts[tensor.file].front.get(), tensor.offset, target, tensor.size)) {
        return false;
    }
    if (!known) {
        known = WorkerEngine::hash_of(target, tensor.size);
        const std::lock_guard<std::mutex> lock(mutex);
        hashes[index] = known;
    }
    return *known == hash;
}

void OwnWeights::hash_ahead() {
    if (thread.joinable()) {
        return;
    }
    thread = std::thread(&OwnWeights::run_ahead, this);
}

void OwnWeights::run_ahead() {
    Bytes bytes;
    for (;;) {
        size_t index = 0;
        {
            std::unique_lock<std::mutex> lock(mutex);
            asked.wait(lock, [&] { return ends || next < last; });
            if (ends) {
                return;
            }
            index = next++;
            if (hashes[index]) {
                continue;
            }
        }
        const Tensor &tensor = tensors[index];
        bytes.resize(tensor.size);
        if (read_at(parts[tensor.file].ahead.get(), tensor.offset, bytes.data(), tensor.size)) {
            const uint64_t hash = WorkerEngine::hash_of(bytes.data(), bytes.size());
            const std::lock_guard<std::mutex> lock(mutex);
            hashes[index] = hash;
        }
    }
}
