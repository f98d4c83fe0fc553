#include "server/pages.h"

#include "archive/own_container.h"
#include "base/message.h"
#include "base/user_error.h"
#include "server/media_type.h"
#include "server/session.h"

#include "stb/stb_image.h"

#include <algorithm>
#include <array>
#include <climits>
#include <cstdio>
#include <cstring>
#include <functional>
#include <optional>

namespace {

constexpr const char OWN_PAGES[] = "www/";
constexpr const char ENGINE_PAGES[] = "pages/";
constexpr const char FIRST_PAGE[] = "index.html";
constexpr const char WORKER[] = "sw.js";

// The maximum compression ratio of Deflate.
constexpr uint64_t LARGEST_RATIO = 1032;

// A browser keeps the service worker of the last llamafile at this address, and with it that file's page, until the
// address serves another worker.
constexpr const char WORKER_REMOVAL[] = R"(self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', event => event.waitUntil((async () => {
    await self.registration.unregister();
    for (const name of await caches.keys()) await caches.delete(name);
    for (const page of await self.clients.matchAll({type: 'window'})) page.navigate(page.url);
})()));
)";

// The engine treats the name of a page as a regular expression, and `/:` as the start of a parameter.
std::string route_of(const std::string &name) {
    std::string route;
    for (const char letter : name) {
        if (std::strchr("\\^$*+?()[]{}|:", letter) != nullptr) {
            route += '\\';
        }
        route += letter;
    }
    return route;
}

uint32_t crc_of(const std::string &bytes) {
    static const std::array<uint32_t, 256> table = [] {
        std::array<uint32_t, 256> remainders{};
        for (uint32_t byte = 0; byte < remainders.size(); ++byte) {
            remainders[byte] = byte;
            for (int bit = 0; bit < 8; ++bit) {
                remainders[byte] = (remainders[byte] >> 1) ^ (remainders[byte] % 2 == 1 ? 0xedb88320 : 0);
            }
        }
        return remainders;
    }();
    uint32_t crc = 0xffffffff;
    for (const char byte : bytes) {
        crc = (crc >> 8) ^ table[(crc ^ static_cast<unsigned char>(byte)) & 0xff];
    }
    return ~crc;
}

bool can_unpack(const zip::Member &member) {
    if (member.method == zip::STORED) {
        return member.size == member.compressed_size;
    }
    return member.method == zip::DEFLATED && member.size <= INT_MAX && member.compressed_size <= INT_MAX &&
           member.size <= member.compressed_size * LARGEST_RATIO;
}

} // namespace

void Pages::unpack(Content &content, llama_ui_asset &page) const {
    if (content.is_deflated) {
        std::string inflated(page.size, '\0');
        const int size = stbi_zlib_decode_noheader_buffer(inflated.data(), static_cast<int>(inflated.size()),
                                                          content.bytes.data(), static_cast<int>(content.bytes.size()));
        inflated.resize(size < 0 ? 0 : static_cast<size_t>(size));
        content.bytes = std::move(inflated);
    }
    if (content.bytes.size() != page.size || crc_of(content.bytes) != content.crc) {
        log_line("the page '" + page.name + "' in " + source->name() + " is damaged: fetch the file again");
        return;
    }
    page.data = reinterpret_cast<const unsigned char *>(content.bytes.data());
}

void Pages::add(const std::string &name, std::string &&bytes, const zip::Member &member) {
    char etag[32];
    std::snprintf(etag, sizeof etag, "\"%08lx-%llx\"", static_cast<unsigned long>(member.crc),
                  static_cast<unsigned long long>(member.size));
    assets.push_back({route_of(name), nullptr, static_cast<size_t>(member.size), etag, media_type_of(member.name)});
    contents.emplace_back();
    contents.back().bytes = std::move(bytes);
    contents.back().is_deflated = member.method == zip::DEFLATED;
    contents.back().crc = member.crc;
}

void Pages::load_member(std::FILE *file, const zip::Member &member, const std::string &name) {
    if (!can_unpack(member)) {
        throw UserError("the page '" + member.name + "' in " + source->name() +
                        " is compressed in a way that cannot be undone here; add it again with: zipalign -6");
    }
    add(name, source->read_bytes(file, member), member);
}

void Pages::load_folder(const std::string &folder) {
    const File file = source->open();
    if (file == nullptr) {
        throw UserError(source->name() + " can no longer be opened");
    }
    const std::string index = std::string("/") + FIRST_PAGE;
    for (const zip::Member &member : source->members()) {
        if (!member.name.starts_with(folder) || member.name.back() == '/') {
            continue;
        }
        const std::string name = member.name.substr(folder.size());
        load_member(file.get(), member, name);
        const size_t parent = name.size() - std::min(name.size(), index.size());
        if (parent > 0 && name.ends_with(index)) {
            load_member(file.get(), member, name.substr(0, parent + 1)); // the page of `FOLDER/`
        }
    }
}

// Loads all pages of FOLDER in CONTAINER, or none if it has no first page.
void Pages::load_from(const std::shared_ptr<const Container> &container, const std::string &folder) {
    if (container->find_member(folder + FIRST_PAGE) == nullptr) {
        return;
    }
    source = container;
    try {
        load_folder(folder);
    } catch (const UserError &) {
        assets.clear();
        contents.clear();
        throw;
    }
    if (container->find_member(folder + WORKER) == nullptr) {
        const std::string text = WORKER_REMOVAL;
        add(WORKER, std::string(text), {WORKER, zip::STORED, text.size(), text.size(), 0, false, crc_of(text)});
    }
}

void Pages::load_default() {
    load_from(own_container(), OWN_PAGES);
    if (assets.empty()) {
        load_from(program_container(), ENGINE_PAGES);
    }
}

void Pages::load_named(const std::string &path) {
    std::string folder = path.substr(path.find('/', 1) + 1);
    if (!folder.empty() && folder.back() != '/') {
        folder += '/';
    }
    if (folder.empty()) { // the root contains the weights
        throw UserError("--path " + path + " names no folder; those of this file are /zip/FOLDER");
    }
    load_from(own_container(), folder);
    if (assets.empty()) {
        throw UserError("there is no '" + folder + FIRST_PAGE + "' in " + own_container()->name() + " for --path " +
                        path);
    }
}

std::string Pages::load(const std::string &path) {
    const bool is_member = Container::is_member_path(path);
    std::optional<UserError> failure; // an exception would let call_once() load again
    std::call_once(loaded, [&] {
        try {
            if (path.empty()) {
                load_default();
            } else if (is_member) {
                load_named(path);
            } else {
                is_on_disk = true;
            }
        } catch (const UserError &error) {
            failure = error;
        }
    });
    if (failure) {
        throw UserError(*failure);
    }
    return is_member ? std::string() : path;
}

const llama_ui_asset *Pages::find(const std::string &name) {
    for (size_t i = 0; i < assets.size(); ++i) {
        if (assets[i].name == name) {
            std::call_once(contents[i].unpacked, [&] { unpack(contents[i], assets[i]); });
            return assets[i].data != nullptr ? &assets[i] : nullptr;
        }
    }
    return nullptr;
}

const std::vector<llama_ui_asset> &llama_ui_get_assets() {
    try {
        session().pages.load("");
    } catch (const UserError &error) {
        log_line(error.what());
    }
    return session().pages.all();
}

const llama_ui_asset *llama_ui_find_asset(const std::string &name) {
    return session().pages.find(name);
}

bool llama_ui_use_gzip() {
    return false;
}
