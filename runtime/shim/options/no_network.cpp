#include "options/no_network.h"

#include "base/environment.h"
#include "engine/model_cache.h"

#include <algorithm>
#include <set>

namespace {

const std::set<std::string> REPOSITORIES = {
    "-hf", "-hfr", "--hf-repo", "-hfd", "-hfrd", "--hf-repo-draft", "--spec-draft-hf",
};
const std::set<std::string> ADDRESSES = {"-mu", "--model-url", "-mmu", "--mmproj-url"};
const std::set<std::string> REGISTRIES = {"-dr", "--docker-repo"};
const std::set<std::string> ABBREVIATIONS = {
    "--embd-gemma-default",   "--fim-qwen-1.5b-default",   "--fim-qwen-3b-default",      "--fim-qwen-7b-default",
    "--fim-qwen-7b-spec",     "--fim-qwen-14b-spec",       "--fim-qwen-30b-default",     "--gpt-oss-20b-default",
    "--gpt-oss-120b-default", "--vision-gemma-4b-default", "--vision-gemma-12b-default",
};
const std::set<std::string> CERTIFICATES = {"--ssl-key-file", "--ssl-cert-file"};
constexpr const char *SERVERS[] = {"MODEL_ENDPOINT", "HF_ENDPOINT"};
constexpr const char PLAIN[] = "http://";
constexpr const char DOWNLOADS[] = "downloads by HTTPS, which this program has not: ";

// Of the Hugging Face Hub, or of a mirror in its place.
bool has_plain_server() {
    return std::any_of(std::begin(SERVERS), std::end(SERVERS),
                       [](const char *name) { return variable(name).starts_with(PLAIN); });
}

} // namespace

std::string network_refusal(const std::string &name, const Arguments &values) {
    if (CERTIFICATES.count(name) != 0) {
        return "needs TLS, which this program has not: let a proxy such as Caddy or nginx speak HTTPS in front of it";
    }
    if (ADDRESSES.count(name) != 0 && !values.front().starts_with(PLAIN)) {
        return std::string(DOWNLOADS) + "fetch the file, with curl -LO " + values.front() + ", and name it with " +
               (name.starts_with("-mm") || name.starts_with("--mm") ? "--mmproj" : "-m");
    }
    if (REGISTRIES.count(name) != 0) {
        return std::string(DOWNLOADS) + "fetch the GGUF file, and name it with -m";
    }
    if (ABBREVIATIONS.count(name) != 0 && !has_plain_server()) {
        return std::string(DOWNLOADS) + "fetch the GGUF file from huggingface.co, and name it with -m";
    }
    if (REPOSITORIES.count(name) != 0 && !has_plain_server() && !is_in_model_cache(values.front())) {
        return std::string(DOWNLOADS) + "fetch the file with 'hf download " + values.front() +
               " FILE.gguf', and name it with -m, or pack it: apepack hf://" + values.front() + "/FILE.gguf";
    }
    return {};
}

bool needs_offline(const std::string &name) {
    return REPOSITORIES.count(name) != 0 && !has_plain_server();
}
