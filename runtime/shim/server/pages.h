// The server's web pages: members of the archive, which are in memory before the server answers.

#pragma once

#include "archive/container.h"
#include "hooks/webui/ui.h"

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

class Pages {
  public:
    // Loads the pages in PATH if this is `/zip/FOLDER`; without a PATH, those packed with the model (`www/`), else the
    // engine's own (`pages/`). Returns the folder on disk that the engine must serve, if PATH is one. Only the first
    // call has an effect. Throws UserError if FOLDER has no index.html, or a page is damaged.
    std::string load(const std::string &path);

    // True if there is a page at `/`.
    bool has_page() const { return is_on_disk || !assets.empty(); }

    const std::vector<llama_ui_asset> &all() const { return assets; }

    // Decompresses the page at its first use. Null if there is no page NAME, or it is damaged, which is logged.
    const llama_ui_asset *find(const std::string &name);

  private:
    // The bytes of a page, which are decompressed at their first use: a server whose API alone is used never does so.
    struct Content {
        std::string bytes; // as in the archive, then decompressed
        bool is_deflated = false;
        uint32_t crc = 0;
        std::once_flag unpacked;
    };

    void load_default();
    void load_named(const std::string &path);
    void load_from(const std::shared_ptr<const Container> &container, const std::string &folder);
    void load_folder(const std::string &folder);
    void load_member(std::FILE *file, const zip::Member &member, const std::string &name);
    void add(const std::string &name, std::string &&bytes, const zip::Member &member);
    void unpack(Content &content, llama_ui_asset &page) const;

    std::shared_ptr<const Container> source;
    std::vector<llama_ui_asset> assets;
    std::deque<Content> contents; // of the page at the same index
    std::once_flag loaded;
    bool is_on_disk = false;
};
