"""The patches to the engine's router, which serves several models: a process of its own for each."""

from __future__ import annotations

from typing import Final

from runtime.builder.patches import Patch

__all__ = ["ROUTER_PATCHES"]

_FILE: Final = "tools/server/server-models.cpp"

ROUTER_PATCHES: Final = (
    Patch(
        file="common/preset.cpp",
        anchor="    if (!std::filesystem::exists(path)) {",
        replacement="""\
    std::string member;
    const bool is_member = llamafile_read_text(fs_path_to_utf8(path), member);
    if (!is_member && !std::filesystem::exists(path)) {""",
        reason="the list of models may be a member of the archive",
    ),
    Patch(
        file="common/preset.cpp",
        anchor="    if (!file.good()) {",
        replacement="    if (!is_member && !file.good()) {",
        reason="the same",
    ),
    Patch(
        file="common/preset.cpp",
        anchor="std::istreambuf_iterator<char>());",
        replacement="std::istreambuf_iterator<char>());\n    if (is_member) { contents = member; }",
        reason="the same",
    ),
    Patch(
        file="common/preset.cpp",
        anchor="    auto cached_models = common_list_cached_models();",
        replacement="    if (llamafile_sealed()) {\n        return out;\n    }\n\n"
        "    auto cached_models = common_list_cached_models();",
        reason="a packed file serves what it holds, on every machine the same",
    ),
    Patch(
        file=_FILE,
        anchor="    args = preset.to_args(bin_path);",
        replacement="    args = llamafile_child_command(preset.to_args());",
        reason="under a loader the engine's path is that of the loader, not of the file that it runs",
    ),
    Patch(
        file=_FILE,
        anchor="""\
        child_env.push_back("LLAMA_SERVER_ROUTER_PORT=" + std::to_string(base_params.port));
""",
        replacement="""\
        child_env.push_back("LLAMA_SERVER_ROUTER_PORT=" + std::to_string(base_params.port));
        for (const auto & variable : llamafile_child_environment()) {
            child_env.push_back(variable);
        }
""",
        reason="a child is told that it is one, and the key that only this router has",
    ),
    Patch(
        file=_FILE,
        anchor="        unload_lru();\n",
        replacement="""\
        unload_lru();
        // least recently used first, while the memory is too small
        auto memory_of = [](const server_model_meta & meta) {
            std::string model, projector;
            meta.preset.get_option("LLAMA_ARG_MODEL", model);
            meta.preset.get_option("LLAMA_ARG_MMPROJ", projector);
            return llamafile_memory_of(model, projector);
        };
        while (true) {
            std::unique_lock<std::mutex> room_lock(mutex);
            std::uint64_t taken = 0;
            for (const auto & [other, inst] : mapping) {
                if (inst.meta.status == SERVER_MODEL_STATUS_LOADED || inst.meta.status == SERVER_MODEL_STATUS_LOADING) {
                    taken += memory_of(inst.meta);
                }
            }
            const std::string victim = llamafile_has_room(taken, memory_of(mapping[name].meta))
                ? std::string() : sched->pick_victim(room_lock);
            if (victim.empty()) {
                break;
            }
            SRV_INF("memory is short, removing LRU name=%s\\n", victim.c_str());
            room_lock.unlock();
            unload(victim);
            room_lock.lock();
            cv.wait(room_lock, [this, &victim]() {
                return mapping[victim].meta.status == SERVER_MODEL_STATUS_UNLOADED;
            });
        }
""",
        reason="the engine counts models only: three small ones may fit where one large one does not",
    ),
    Patch(
        file=_FILE,
        anchor="""            LOG("[%5d] %s", c.port, line.c_str()); // forward log""",
        replacement="            llamafile_child_line(c.name, line);",
        reason="users know the names of models, not the ports of their processes",
    ),
    Patch(
        file=_FILE,
        anchor="""throw std::runtime_error("model name=" + name + " failed to load");""",
        replacement="throw std::runtime_error(llamafile_load_failure(name));",
        reason="the reason is in the child's last message",
    ),
    Patch(
        file=_FILE,
        anchor="static bool router_validate_model(",
        replacement="""\
static std::vector<std::string> router_names(server_models & models) {
    std::vector<std::string> names;
    for (const auto & meta : models.get_all_meta()) {
        if (!meta.hidden) {
            names.push_back(meta.name);
        }
    }
    return names;
}

static bool router_validate_model(""",
        reason="for the next patches",
    ),
    Patch(
        file=_FILE,
        anchor="bool models_autoload, std::unique_ptr<server_http_res> & res) {",
        replacement="""\
bool models_autoload, std::unique_ptr<server_http_res> & res) {
    if (name.empty()) {
        name = llamafile_default_model(router_names(models));
    }""",
        reason="a client that names no model gets the first one",
    ),
    Patch(
        file=_FILE,
        anchor='"model name is missing from the request", ERROR_TYPE_INVALID_REQUEST',
        replacement="llamafile_unknown_model(name, router_names(models)), ERROR_TYPE_NOT_FOUND",
        reason="there is no model",
    ),
    Patch(
        file=_FILE,
        anchor="string_format(\"model '%s' not found\", name.c_str()), ERROR_TYPE_INVALID_REQUEST",
        replacement="llamafile_unknown_model(name, router_names(models)), ERROR_TYPE_NOT_FOUND",
        reason="a client that names an unknown model learns the names",
    ),
    Patch(
        file=_FILE,
        anchor="""\
name = req.get_param("model");
        bool autoload = is_autoload(params, req);
""",
        replacement="""\
name = req.get_param("model");
        bool autoload = is_autoload(params, req) &&
            (!req.get_param("autoload").empty() || llamafile_loads_for(req.path));
""",
        reason="a monitor that reads numbers must not load models",
    ),
    Patch(
        file=_FILE,
        anchor="        p.model.hf_repo  = name;",
        replacement="""\
        if (const std::string refusal = llamafile_download_refusal(name); !refusal.empty()) {
            res_err(res, format_error_response(refusal, ERROR_TYPE_NOT_SUPPORTED));
            return res;
        }
        p.model.hf_repo = name;""",
        reason="this program has no TLS: the answer says what to do instead",
    ),
    Patch(
        file=_FILE,
        anchor="            cli.set_connection_timeout(0, STREAM_LOOKUP_TIMEOUT_MS * 1000);",
        replacement="            cli.set_connection_timeout(0, STREAM_LOOKUP_TIMEOUT_MS * 1000);\n"
        "            cli.set_bearer_token_auth(llamafile_child_key());",
        reason="children answer only to their router",
        count=2,
    ),
    Patch(
        file=_FILE,
        anchor="""        header_name == "keep-alive") {""",
        replacement="""        header_name == "connection" ||\n        header_name == "keep-alive") {""",
        reason="the end of the router's connection to a child is not that of the client's to the router",
    ),
    Patch(
        file=_FILE,
        anchor="""\
    auto headers_sent = std::make_shared<std::atomic<bool>>(false);
""",
        replacement="""\
    auto headers_sent = std::make_shared<std::atomic<bool>>(false);
    auto is_event_stream = std::make_shared<std::atomic<bool>>(false);
""",
        reason="a child that ends in the middle of an answer: what follows must be of the same form",
    ),
    Patch(
        file=_FILE,
        anchor="[pipe, headers_sent, make_header_msg](const httplib::Response & response) {",
        replacement="""\
[pipe, headers_sent, is_event_stream, make_header_msg](const httplib::Response & response) {
        is_event_stream->store(response.get_header_value("Content-Type").rfind("text/event-stream", 0) == 0);""",
        reason="the same",
    ),
    Patch(
        file=_FILE,
        anchor="    this->thread = std::thread([cli, pipe, req, headers_sent, make_header_msg]() {",
        replacement="    this->thread = std::thread("
        "[cli, pipe, req, headers_sent, is_event_stream, make_header_msg]() {",
        reason="the same",
    ),
    Patch(
        file=_FILE,
        anchor='            pipe->write({{}, 500, "", ""}); // header',
        replacement="""\
            const std::string failure = llamafile_child_failure(err_str);
            if (!headers_sent->load()) {
                pipe->write({{}, 502, "", "application/json; charset=utf-8"});
                pipe->write({{}, 0, failure, ""});
            } else if (is_event_stream->load()) {
                pipe->write({{}, 0, "data: " + failure + "\\n\\n", ""});
            }""",
        reason="clients read JSON, or an event of a stream; text after half of an answer is neither",
    ),
    Patch(
        file=_FILE,
        anchor='            pipe->write({{}, 0, "proxy error: " + err_str, ""}); // body\n',
        replacement="",
        reason="the same",
    ),
    Patch(
        file="tools/server/server.cpp",
        anchor="        ctx_http.join(); // keep the main thread alive",
        replacement="        llamafile_serving();\n        ctx_http.join(); // keep the main thread alive",
        reason="from here on the router only starts children and passes requests on",
    ),
)
