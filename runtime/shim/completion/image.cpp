#include "completion/image.h"

#include "base/file.h"
#include "base/user_error.h"
#include "hooks/hooks.h"
#include "stb/stb_image.h"

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>

namespace {

constexpr size_t LARGEST_FILE = 256 << 20;
constexpr int64_t MOST_PIXELS = 256 << 20; // above that of any camera; a file of a few bytes can claim any number

[[noreturn]] void refuse(const std::string &name, const std::string &reason) {
    throw UserError("cannot use the image '" + name + "': " + reason);
}

// The engine's decoder knows more formats, which are rare and little tested.
bool is_known_format(const std::string &bytes) {
    return bytes.starts_with("\xFF\xD8\xFF") || bytes.starts_with("\x89PNG\r\n\x1A\n") || bytes.starts_with("GIF87a") ||
           bytes.starts_with("GIF89a") || bytes.starts_with("BM");
}

int value_of(char letter) {
    static const std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t value = alphabet.find(letter);
    return value == std::string::npos ? -1 : static_cast<int>(value);
}

bool decode_base64(const std::string &text, std::string &bytes) {
    uint32_t bits = 0;
    int count = 0;
    const size_t end = text.find_last_not_of("= \r\n\t") + 1;
    for (size_t i = 0; i < end; ++i) {
        const int value = value_of(text[i]);
        if (value < 0) {
            if (std::strchr(" \r\n\t", text[i]) != nullptr) {
                continue; // line breaks of the encoder
            }
            return false;
        }
        bits = bits << 6 | static_cast<uint32_t>(value);
        if (++count == 4) {
            bytes += {static_cast<char>(bits >> 16), static_cast<char>(bits >> 8), static_cast<char>(bits)};
            count = 0;
            bits = 0;
        }
    }
    if (count == 2) {
        bytes += static_cast<char>(bits >> 4);
    } else if (count == 3) {
        bytes += {static_cast<char>(bits >> 10), static_cast<char>(bits >> 2)};
    }
    return count != 1;
}

} // namespace

Image read_image(const std::string &name) {
    Image image{name, {}};
    if (llamafile_read_text(name, image.bytes)) {
        return image;
    }
    const File file = open_file(name, "rb");
    if (file == nullptr) {
        refuse(name,
               errno == ENOENT ? "there is no such file, neither on disk nor in this llamafile" : std::strerror(errno));
    }
    char buffer[1 << 16];
    for (size_t size = 0; (size = std::fread(buffer, 1, sizeof buffer, file.get())) > 0;) {
        image.bytes.append(buffer, size);
        if (image.bytes.size() > LARGEST_FILE) {
            refuse(name, "it is larger than 256 MiB");
        }
    }
    if (std::ferror(file.get()) != 0) {
        refuse(name, std::strerror(errno));
    }
    return image;
}

Image image_of_data(const std::string &address) {
    Image image{address.substr(0, 32) + "…", {}};
    const size_t comma = address.find(',');
    if (comma == std::string::npos || !address.substr(0, comma).ends_with(";base64")) {
        refuse(image.name, "expected data:image/TYPE;base64, and the file in base 64");
    }
    if (!decode_base64(address.substr(comma + 1), image.bytes)) {
        refuse(image.name, "what follows 'base64,' is not base 64");
    }
    return image;
}

mtmd::bitmap decode(const Image &image) {
    if (image.bytes.empty()) {
        refuse(image.name, "it is empty");
    }
    if (!is_known_format(image.bytes)) {
        refuse(image.name, "it is no JPEG, PNG, GIF or BMP file");
    }
    const auto *bytes = reinterpret_cast<const stbi_uc *>(image.bytes.data());
    const auto size = static_cast<int>(image.bytes.size());
    int width = 0;
    int height = 0;
    int channels = 0;
    if (stbi_info_from_memory(bytes, size, &width, &height, &channels) == 0 || width < 1 || height < 1) {
        refuse(image.name, "it is damaged");
    }
    if (int64_t{width} * height > MOST_PIXELS) {
        refuse(image.name,
               "it has " + std::to_string(width) + " x " + std::to_string(height) + " pixels; make it smaller");
    }
    const std::unique_ptr<stbi_uc, void (*)(void *)> pixels(
        stbi_load_from_memory(bytes, size, &width, &height, &channels, 3), stbi_image_free);
    if (pixels == nullptr) {
        refuse(image.name, "it is damaged");
    }
    return {static_cast<uint32_t>(width), static_cast<uint32_t>(height), pixels.get()};
}
