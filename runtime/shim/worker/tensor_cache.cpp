#include "worker/tensor_cache.h"

#include "base/cache_folder.h"
#include "base/file.h"
#include "base/message.h"
#include "base/private_files.h"
#include "base/user_error.h"

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <random>
#include <system_error>
#include <vector>

namespace fs = std::filesystem;

namespace {

constexpr size_t NAME_SIZE = 16; // hexadecimal digits
constexpr const char UNFINISHED[] = "unfinished.";
constexpr std::chrono::hours LONGEST_WRITE{1};

struct Kept {
    fs::path path;
    uint64_t size;
    fs::file_time_type used;
};

bool is_hash(const std::string &name) {
    return name.size() == NAME_SIZE && name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

bool is_unfinished(const std::string &name) {
    return name.starts_with(UNFINISHED);
}

// What is in the folder and HAS_NAME: nothing else is removed.
std::vector<Kept> files_in(const std::string &folder, bool (*has_name)(const std::string &)) {
    std::vector<Kept> files;
    std::error_code error;
    for (fs::directory_iterator entry(system_path(folder), error), end; !error && entry != end;
         entry.increment(error)) {
        const bool is_wanted = has_name(entry->path().filename().string());
        std::error_code failure;
        const uint64_t size = is_wanted ? fs::file_size(entry->path(), failure) : 0;
        if (is_wanted && !failure) {
            files.push_back({entry->path(), size, fs::last_write_time(entry->path(), failure)});
        }
    }
    return files;
}

void remove_file(const fs::path &path) {
    std::error_code error;
    fs::remove(path, error);
}

// Those of workers that were killed; others may be writing theirs.
void remove_unfinished(const std::string &folder) {
    const fs::file_time_type oldest = fs::file_time_type::clock::now() - LONGEST_WRITE;
    for (const Kept &file : files_in(folder, is_unfinished)) {
        if (file.used < oldest) {
            remove_file(file.path);
        }
    }
}

} // namespace

TensorCache::TensorCache(std::string path, uint64_t limit) : folder(std::move(path)), size_max(limit) {
    const std::string reason = make_private_folder(folder);
    if (!reason.empty()) {
        throw UserError("cannot keep tensors in '" + folder + "': " + reason);
    }
    remove_unfinished(folder);
    make_room(0);
}

std::string TensorCache::default_folder() {
    const std::optional<std::string> caches = user_cache_folder();
    if (!caches) {
        throw UserError("cannot keep tensors: this user has no folder for caches; name one with --cache-dir");
    }
    return *caches + "/rpc";
}

std::string TensorCache::path_of(uint64_t hash) const {
    char name[NAME_SIZE + 1];
    std::snprintf(name, sizeof name, "%016" PRIx64, hash);
    return folder + "/" + name;
}

std::optional<Bytes> TensorCache::read(uint64_t hash) const {
    const std::string path = path_of(hash);
    const File file = open_private_file(path);
    const std::optional<uint64_t> size = file == nullptr ? std::nullopt : file_size(file.get());
    if (!size || *size > size_max || !seek(file.get(), 0)) {
        return std::nullopt;
    }
    Bytes bytes(*size);
    const bool is_complete = std::fread(bytes.data(), 1, bytes.size(), file.get()) == bytes.size();
    if (!is_complete || WorkerEngine::hash_of(bytes.data(), bytes.size()) != hash) {
        log_line("'" + path + "' is damaged and removed");
        remove_file(system_path(path));
        return std::nullopt;
    }
    mark_as_used(path);
    return bytes;
}

void TensorCache::make_room(uint64_t size) const {
    std::vector<Kept> files = files_in(folder, is_hash);
    std::sort(files.begin(), files.end(), [](const Kept &a, const Kept &b) { return a.used < b.used; });
    uint64_t sum = size;
    for (const Kept &file : files) {
        sum += file.size;
    }
    for (const Kept &file : files) {
        if (sum <= size_max) {
            return;
        }
        remove_file(file.path);
        sum -= file.size;
    }
}

void TensorCache::write(uint64_t hash, const uint8_t *bytes, size_t size) const {
    if (size > size_max) {
        return;
    }
    make_room(size);
    const std::string unfinished = folder + "/" + UNFINISHED + std::to_string(std::random_device()());
    File file = create_private_file(unfinished);
    if (file == nullptr) {
        return;
    }
    const bool is_written = std::fwrite(bytes, 1, size, file.get()) == size && std::fclose(file.release()) == 0;
    std::error_code error;
    if (is_written) {
        fs::rename(system_path(unfinished), system_path(path_of(hash)), error);
    }
    if (!is_written || error) {
        remove_file(system_path(unfinished));
    }
}
