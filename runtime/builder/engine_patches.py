"""The patches to the engine: for changes that compiler flags cannot make, few and small."""

from __future__ import annotations

from typing import Final

from runtime.builder.compute_patches import COMPUTE_PATCHES
from runtime.builder.patches import Patch
from runtime.builder.prompt_patches import PROMPT_PATCHES
from runtime.builder.router_patches import ROUTER_PATCHES

__all__ = ["PATCHES"]

PATCHES: Final = (
    *COMPUTE_PATCHES,
    *PROMPT_PATCHES,
    *ROUTER_PATCHES,
    Patch(
        file="tools/server/server.cpp",
        anchor='uses_default_port |= string_ends_with(address, ":8080");',
        replacement="",
        reason="llamafiles keep port 8080; the engine announces at each start that its default will change",
    ),
    Patch(
        file="common/arg.cpp",
        anchor="static_cast<int>(utf8.buf.size()) == argc",
        replacement="false",
        reason="on Windows the engine would replace our arguments, which include .args, with those of the process",
    ),
    Patch(
        file="common/arg.cpp",
        anchor="common_params_apply_system_config(params, ctx_arg.ex);",
        replacement="if (!llamafile_sealed()) { common_params_apply_system_config(params, ctx_arg.ex); }",
        reason="a packed file answers the same on every machine: the machine's configuration counts only on request",
    ),
    Patch(
        file="common/arg.cpp",
        anchor="static std::string read_file(const std::string & fname) {",
        replacement="static std::string read_file(const std::string & fname) {\n"
        "    std::string member;\n"
        "    if (llamafile_read_text(fname, member)) { return member; }",
        reason="grammars, templates and schemas may be members of the archive",
    ),
    Patch(
        file="tools/cli/cli-server.h",
        anchor="port = common_http_get_free_port();",
        replacement="port = params.port;",
        reason="other programs can use the server of the terminal chat, on its usual port",
    ),
    Patch(
        file="tools/mtmd/clip.cpp",
        anchor="open_ifstream_binary(fname)",
        replacement="open_ifstream_binary(llamafile_disk_file(fname))",
        reason="the engine reads a projector's metadata through ggml_fopen, its tensors by file name and offset",
    ),
    Patch(
        file="tools/server/server-context.cpp",
        anchor="task.params.oaicompat_model   = meta->model_name;",
        replacement="task.params.oaicompat_model = "
        'llamafile_model_name(meta->model_name, json_value(data, "model", std::string()));',
        reason="clients that check the model's name expect the name in their request, as in llamafile's responses",
    ),
    Patch(
        file="tools/server/server-chat.cpp",
        anchor="json oai_body;",
        replacement='json oai_body = {{"model", json_value(body, "model", std::string())}};',
        reason="the same for /v1/messages, where the conversion drops the name",
    ),
    Patch(
        file="tools/server/server.cpp",
        anchor='SRV_INF("listening on %s\\n", address.c_str());',
        replacement="llamafile_listening(address);",
        reason="the shim prints the address and opens the browser",
    ),
    Patch(
        file="tools/server/server.cpp",
        anchor="// this call blocks the main thread until queue_tasks.terminate() is called",
        replacement="llamafile_loaded(params, ctx_server.get_llama_context());\n        llamafile_serving();",
        reason="from here on the server opens neither files nor connections",
    ),
    Patch(
        file="common/json.cpp",
        anchor="as_json(&out) = ordered_json::parse(text);",
        replacement="llamafile_check_json(text);\n        as_json(&out) = ordered_json::parse(text);",
        reason="the engine copies, prints and converts JSON recursively: deep nesting overflows the stack",
    ),
    Patch(
        file="src/llama-grammar.cpp",
        anchor="const char * pos = parse_space(src, true);",
        replacement="llamafile_check_grammar(src);\n        const char * pos = parse_space(src, true);",
        reason="the grammar parser is recursive, and its time grows with the square of the size",
    ),
    Patch(
        file="src/llama-grammar.cpp",
        anchor="if ((*rules_in_progress)[rule_index]) {",
        replacement="if ((*rules_visited)[rule_index]) { return false; }\n    if ((*rules_in_progress)[rule_index]) {",
        reason="checked rules are not visited again: forty lines of `a ::= b | b` took exponential time",
    ),
    Patch(
        file="common/common.cpp",
        anchor="int n_tokens = text.length() + 2 * add_special;",
        replacement="llamafile_check_text(text.length());\n    int n_tokens = text.length() + 2 * add_special;",
        reason="tokenizing 100 MB of text took 4.5 GB of memory, before the check against the size of the context",
    ),
    Patch(
        file="src/llama-vocab.cpp",
        anchor='if (tokenizer_model == "no_vocab" ||',
        replacement='if (ml.no_alloc || tokenizer_model == "no_vocab" ||',
        reason="the engine loads a model twice, the first time to compute how much memory it needs: a vocabulary then "
        "took a fifth of the time to the first token",
    ),
    Patch(
        file="src/llama-vocab.cpp",
        anchor="            uint32_t n_tokens = 0;",
        replacement="""\
            uint32_t n_tokens = 0;
            const int list = gguf_find_key(ctx, kv(LLM_KV_TOKENIZER_LIST).c_str());
            if (ml.no_alloc && list != -1 && gguf_get_kv_type(ctx, list) == GGUF_TYPE_ARRAY) {
                id_to_token.resize(gguf_get_arr_n(ctx, list));
                return;
            }""",
        reason="the other half of the previous patch: only the number of tokens counts",
    ),
    Patch(
        file="src/llama-vocab.cpp",
        anchor="const int n_merges = gguf_get_arr_n(ctx, merges_keyidx);",
        replacement="const int n_merges = gguf_get_arr_n(ctx, merges_keyidx);\n"
        "                bpe_ranks.reserve(n_merges);",
        reason="a table that grows is filled again at each doubling",
        count=2,
    ),
    Patch(
        file="tools/server/server-common.cpp",
        anchor="result.reserve(json_prompt.size());",
        replacement="llamafile_check_prompts(json_prompt.size());\n        result.reserve(json_prompt.size());",
        reason="each text becomes a task, and the time to cancel tasks grows with the square of their number",
    ),
    Patch(
        file="tools/server/server-context.cpp",
        anchor="std::vector<server_tokens> tokenized_prompts;",
        replacement="llamafile_check_prompts(prompt.is_array() && !json_is_array_and_contains_numbers(prompt) "
        "? prompt.size() : 1);\n    std::vector<server_tokens> tokenized_prompts;",
        reason="the same for embeddings",
    ),
    Patch(
        file="tools/server/server.cpp",
        anchor="} catch (const std::invalid_argument & e) {",
        replacement="} catch (const common_json_error & e) {\n"
        "            error = ERROR_TYPE_INVALID_REQUEST;\n"
        "            message = e.what();\n"
        "        } catch (const std::invalid_argument & e) {",
        reason="a body that is not JSON, or has a number in place of a string, is a client error",
    ),
    Patch(
        file="vendor/cpp-httplib/httplib.cpp",
        anchor="if (idle_thread_count_ == 0 &&",
        replacement="if (jobs_.size() > idle_thread_count_ &&",
        reason="a woken thread still counts as idle: with many clients at once, one waited behind silent connections",
    ),
    Patch(
        file="common/arg.cpp",
        anchor="            if (!seen_args.insert(arg).second) {",
        replacement="            if (false) {",
        reason="a repeated option adds a value or overrides the previous one, see the manual; the engine warns of both",
    ),
    Patch(
        file="tools/server/server-http.cpp",
        anchor="serve_asset_cached(a.name, false, cache_immutable)",
        replacement="serve_asset_cached(a.name, false, "
        'a.name.rfind("_app/immutable/", 0) == 0 ? cache_immutable : cache_revalidate)',
        reason="browsers would keep the page of another llamafile at this address for a year",
    ),
    Patch(
        file="common/common.cpp",
        anchor="int32_t common_cpu_get_num_math() {",
        replacement="""\
static int32_t math_cpus();

int32_t common_cpu_get_num_math() {
    return llamafile_usable_cpus(math_cpus());
}

static int32_t math_cpus() {""",
        reason="a container with two of 64 processors started 64 threads, which waited for each other",
    ),
    Patch(
        file="common/arg.cpp",
        anchor="params.cpuparams.n_threads = std::thread::hardware_concurrency();",
        replacement="params.cpuparams.n_threads = llamafile_usable_cpus(std::thread::hardware_concurrency());",
        reason="the same for --threads 0",
    ),
    Patch(
        file="common/arg.cpp",
        anchor="params.cpuparams_batch.n_threads = std::thread::hardware_concurrency();",
        replacement="params.cpuparams_batch.n_threads = llamafile_usable_cpus(std::thread::hardware_concurrency());",
        reason="the same for --threads-batch 0",
    ),
    Patch(
        file="common/chat-auto-parser-generator.cpp",
        anchor="    return ctx.reasoning_parser + p.optional(p.content(p.until(tool_start))) + tools_parser + p.end();",
        replacement="""\
    const bool is_forced = inputs.tool_choice == COMMON_CHAT_TOOL_CHOICE_REQUIRED;
    return ctx.reasoning_parser + (is_forced ? p.eps() : p.optional(p.content(p.until(tool_start)))) + tools_parser +
           p.end();""",
        reason="a call that the client forces came after any amount of text, or never",
    ),
    Patch(
        file="common/chat-auto-parser-generator.cpp",
        anchor="    return ctx.reasoning_parser + p.optional(p.content(content_before_tools)) + tool_calls + p.end();",
        replacement="""\
    const bool is_forced = inputs.tool_choice == COMMON_CHAT_TOOL_CHOICE_REQUIRED;
    return ctx.reasoning_parser + (is_forced ? p.eps() : p.optional(p.content(content_before_tools))) + tool_calls +
           p.end();""",
        reason="the same for the other two forms of calls",
        count=2,
    ),
    Patch(
        file="tools/server/server-task.h",
        anchor="    std::unordered_set<size_t> sent_tool_call_names;",
        replacement="    std::unordered_set<size_t> sent_tool_call_names;\n    bool has_begun = false;",
        reason="the first token may be held back, as a part of a character or of a stop sequence: streams then began "
        "without their first event",
    ),
    Patch(
        file="tools/server/server-task.h",
        anchor="    bool anthropic_has_reasoning = false;",
        replacement="    bool anthropic_has_reasoning = false;\n    bool is_first = false;",
        reason="the same",
    ),
    Patch(
        file="tools/server/server-task.cpp",
        anchor="    anthropic_has_reasoning = !state.chat_msg.reasoning_content.empty();",
        replacement="""\
    anthropic_has_reasoning = !state.chat_msg.reasoning_content.empty();
    is_first = !is_progress && !state.has_begun;
    state.has_begun = state.has_begun || is_first;""",
        reason="the same",
    ),
    Patch(
        file="tools/server/server-task.cpp",
        anchor="bool first = n_decoded == 1;",
        replacement="bool first = is_first;",
        reason="the same, in a chat",
    ),
    Patch(
        file="tools/server/server-task.cpp",
        anchor="bool first = (n_decoded == 1);",
        replacement="bool first = is_first;",
        reason="the same, in a message",
    ),
    Patch(
        file="tools/server/server-task.cpp",
        anchor="(is_progress || n_decoded == 1)",
        replacement="(is_progress || is_first)",
        reason="the same, in a response",
    ),
)
