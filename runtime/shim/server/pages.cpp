#include "server/pages.h"

#include "archive/container.h"
#include "base/message.h"
#include "hooks/webui/ui.h"

#include "stb/stb_image.h"

#include <algorithm>
#include <array>
#include <climits>
#include <cstdio>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>

namespace {

constexpr const char OWN_PAGES[] = "www/";
constexpr const char ENGINE_PAGES[] = "pages/";
constexpr const char FIRST_PAGE[] = "index.html";
constexpr const char WORKER[] = "sw.js";

// Deflate cannot make a kilobyte of fewer bytes than one.
constexpr uint64_t LARGEST_RATIO = 1032;

// A browser keeps the service worker of whatever llamafile it saw last at this address, and with it that file's page,
// until the address has a worker that says otherwise.
constexpr const char WORKER_REMOVAL[] = R"(self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', event => event.waitUntil((async () => {
    await self.registration.unregister();
    for (const name of await caches.keys()) await caches.delete(name);
    for (const page of await self.clients.matchAll({type: 'window'})) page.navigate(page.url);
})()));
)";

struct Type {
    const char *suffix, *name;
};

constexpr Type TYPES[] = {
    {"html", "text/html; charset=utf-8"},
    {"htm", "text/html; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},
    {"js", "text/javascript; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"txt", "text/plain; charset=utf-8"},
    {"md", "text/markdown; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"json", "application/json"},
    {"map", "application/json"},
    {"webmanifest", "application/manifest+json"},
    {"xml", "application/xml"},
    {"pdf", "application/pdf"},
    {"wasm", "application/wasm"},
    {"svg", "image/svg+xml"},
    {"png", "image/png"},
    {"jpg", "image/jpeg"},
    {"jpeg", "image/jpeg"},
    {"gif", "image/gif"},
    {"webp", "image/webp"},
    {"avif", "image/avif"},
    {"ico", "image/x-icon"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"ttf", "font/ttf"},
    {"otf", "font/otf"},
    {"mp3", "audio/mpeg"},
    {"ogg", "audio/ogg"},
    {"wav", "audio/wav"},
    {"mp4", "video/mp4"},
    {"webm", "video/webm"},
};

// What a page is made of. It is unpacked when it is first asked for: a server that only its API is used of never does.
struct Content {
    std::string bytes; // as they lie in the archive, then as they are
    bool deflated = false;
    uint32_t crc = 0;
    std::once_flag unpacked;
};

// The page at a place of the one list is made of the content at that place of the other.
std::vector<llama_ui_asset> pages;
std::deque<Content> contents;
std::once_flag loaded;
bool on_disk = false; // the engine serves a folder instead

bool starts_with(const std::string &text, const char *beginning) {
    return text.rfind(beginning, 0) == 0;
}

std::string type_of(const std::string &name) {
    std::string suffix;
    for (const char letter : name.substr(name.find_last_of("./") + 1)) {
        suffix += 'A' <= letter && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
    }
    for (const Type &type : TYPES) {
        if (suffix == type.suffix) {
            return type.name;
        }
    }
    return "application/octet-stream";
}

// The engine takes the name of a page for a regular expression, and `/:` for the beginning of a parameter.
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

void unpack(Content &content, llama_ui_asset &page) {
    if (content.deflated) {
        std::string inflated(page.size, '\0');
        const int size = stbi_zlib_decode_noheader_buffer(&inflated[0], static_cast<int>(inflated.size()),
                                                          content.bytes.data(), static_cast<int>(content.bytes.size()));
        inflated.resize(size < 0 ? 0 : static_cast<size_t>(size));
        content.bytes = std::move(inflated);
    }
    if (content.bytes.size() != page.size || crc_of(content.bytes) != content.crc) {
        complain("the page '" + page.name + "' in " + Container::instance().path() +
                 " is damaged: fetch the file again");
        return;
    }
    page.data = reinterpret_cast<const unsigned char *>(content.bytes.data());
}

void add(const std::string &name, std::string &&bytes, const zip::Member &member) {
    char etag[32];
    std::snprintf(etag, sizeof etag, "\"%08lx-%llx\"", static_cast<unsigned long>(member.crc),
                  static_cast<unsigned long long>(member.size));
    pages.push_back({route_of(name), nullptr, static_cast<size_t>(member.size), etag, type_of(member.name)});
    contents.emplace_back();
    contents.back().bytes = std::move(bytes);
    contents.back().deflated = member.method == zip::DEFLATED;
    contents.back().crc = member.crc;
}

bool can_unpack(const zip::Member &member) {
    if (member.method == zip::STORED) {
        return member.size == member.compressed_size;
    }
    return member.method == zip::DEFLATED && member.size <= INT_MAX && member.compressed_size <= INT_MAX &&
           member.size <= member.compressed_size * LARGEST_RATIO;
}

bool load_member(std::FILE *file, const zip::Member &member, const std::string &name, std::string &problem) {
    const Container &container = Container::instance();
    if (!can_unpack(member)) {
        problem = "the page '" + member.name + "' in " + container.path() +
                  " is compressed in a way that cannot be undone here; add it again with: zipalign -6";
        return false;
    }
    std::string bytes;
    if (!container.read_bytes(file, member, bytes, problem)) {
        return false;
    }
    add(name, std::move(bytes), member);
    return true;
}

bool load_folder(const std::string &folder, std::string &problem) {
    const Container &container = Container::instance();
    std::FILE *file = container.open();
    if (file == nullptr) {
        problem = container.path() + " can no longer be opened";
        return false;
    }
    bool loading = true;
    const std::string index = std::string("/") + FIRST_PAGE;
    for (const zip::Member &member : container.members()) {
        if (!loading || !starts_with(member.name, folder.c_str()) || member.name.back() == '/') {
            continue;
        }
        const std::string name = member.name.substr(folder.size());
        loading = load_member(file, member, name, problem);
        const size_t parent = name.size() - std::min(name.size(), index.size());
        if (loading && parent > 0 && name.compare(parent, index.size(), index) == 0) {
            loading = load_member(file, member, name.substr(0, parent + 1), problem); // what `FOLDER/` shows
        }
    }
    std::fclose(file);
    return loading;
}

bool load_from(const std::string &folder, std::string &problem) {
    const Container &container = Container::instance();
    if (container.find_member(folder + FIRST_PAGE) == nullptr) {
        return true;
    }
    if (!load_folder(folder, problem)) {
        pages.clear();
        contents.clear();
        return false;
    }
    if (container.find_member(folder + WORKER) == nullptr) {
        const std::string text = WORKER_REMOVAL;
        add(WORKER, std::string(text), {WORKER, zip::STORED, text.size(), text.size(), 0, false, crc_of(text)});
    }
    return true;
}

bool load_default(std::string &problem) {
    return load_from(OWN_PAGES, problem) && (!pages.empty() || load_from(ENGINE_PAGES, problem));
}

bool load_named(const std::string &path, std::string &problem) {
    std::string folder = path.substr(path.find('/', 1) + 1);
    if (!folder.empty() && folder.back() != '/') {
        folder += '/';
    }
    if (folder.empty()) { // the weights are no page
        problem = "--path " + path + " names no folder; those of this file are /zip/FOLDER";
        return false;
    }
    const bool loading = load_from(folder, problem);
    if (loading && pages.empty()) {
        problem =
            "there is no '" + folder + FIRST_PAGE + "' in " + Container::instance().path() + " for --path " + path;
    }
    return loading && !pages.empty();
}

} // namespace

bool load_pages(std::string &path, std::string &problem) {
    bool loading = true;
    std::call_once(loaded, [&] {
        if (path.empty()) {
            loading = load_default(problem);
        } else if (Container::is_member_path(path)) {
            loading = load_named(path, problem);
            path.clear();
        } else {
            on_disk = true;
        }
    });
    return loading;
}

bool has_page() {
    return on_disk || !pages.empty();
}

const std::vector<llama_ui_asset> &llama_ui_get_assets() {
    std::string path, problem;
    if (!load_pages(path, problem)) {
        complain(problem);
    }
    return pages;
}

const llama_ui_asset *llama_ui_find_asset(const std::string &name) {
    for (size_t i = 0; i < pages.size(); ++i) {
        if (pages[i].name == name) {
            std::call_once(contents[i].unpacked, unpack, std::ref(contents[i]), std::ref(pages[i]));
            return pages[i].data != nullptr ? &pages[i] : nullptr;
        }
    }
    return nullptr;
}

bool llama_ui_use_gzip() {
    return false;
}
