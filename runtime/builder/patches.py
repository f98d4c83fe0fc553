"""The patches to the engine's source, for changes that compiler flags cannot make: few, small, and anchored.

A patch names a piece of text that must occur in its file a given number of times, usually once. If a new version of the
engine has it more or less often, the build stops.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runtime.errors import AnchorError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PATCHES", "Patch", "apply_patches", "patches_key"]


@dataclass(frozen=True, slots=True)
class Patch:
    """A replacement in one file of the engine, made COUNT times."""

    file: str
    anchor: str
    replacement: str
    reason: str
    count: int = 1


# Not in all files: where the converted number is a factor in a running sum, as in quants.c, LLVM loads it over the
# register of the sum (vpinsrw), so that each block waits for the previous one: generation took twice as long and more.
_CONVERT_HALVES: Final = """\
#include "simd-mappings.h"
#ifdef __F16C__
#undef GGML_CPU_FP16_TO_FP32
#define GGML_CPU_FP16_TO_FP32(x) GGML_CPU_COMPUTE_FP16_TO_FP32(x)
#endif
"""

PATCHES: Final = (
    Patch(
        file="ggml/src/ggml-cpu/amx/amx.cpp",
        anchor="static bool ggml_amx_init() {",
        replacement="static bool ggml_amx_init() {\n    return llamafile_has_amx();",
        reason="code for these processors must not run on others; and the program requests their registers from the "
        "system once, when it starts, instead of for each operation inside the sandbox",
    ),
    Patch(
        file="ggml/src/ggml-cpu/amx/common.h",
        anchor="std::vector<std::thread> threads;",
        replacement="""\
struct Task { const func_t & function; int size; } task = { f, n };
    llamafile_in_parallel(nth, &task, [](const void * of, int part, int parts) {
        const Task & task = *static_cast<const Task *>(of);
        int start, end;
        balance211(task.size, parts, part, start, end);
        task.function(start, end);
    });
#if 0
    std::vector<std::thread> threads;""",
        reason="the linker could use templates of the standard library, compiled here for new processors, everywhere",
    ),
    Patch(
        file="ggml/src/ggml-cpu/amx/common.h",
        anchor="        t.join();\n    }",
        replacement="        t.join();\n    }\n#endif",
        reason="the end of the text that the previous patch replaces",
    ),
    Patch(
        file="ggml/src/ggml-cpu/amx/amx.cpp",
        anchor="            case GGML_TYPE_F16:\n                alignment = 16;\n                break;\n",
        replacement="",
        reason="the engine computes with F16 as stored; a copy costs its size in memory, and half a second",
    ),
    Patch(
        file="ggml/src/ggml-cpu/amx/amx.cpp",
        anchor="    ggml::cpu::tensor_traits * get_tensor_traits(const struct ggml_tensor * op) override {\n",
        replacement="""\
    ggml::cpu::tensor_traits * get_tensor_traits(const struct ggml_tensor * op) override {
        const auto * weights = op->src[0];
        if (op->op == GGML_OP_MUL_MAT && weights->type == GGML_TYPE_F16 && op->src[1]->type == GGML_TYPE_F32 &&
            (op->ne[1] <= 4 || op->ne[1] > 128) && op->ne[2] == 1 && op->ne[3] == 1 &&
            op->ne[0] % 2 == 0 && weights->ne[0] % 16 == 0 &&
            ggml_is_contiguous(weights) && ggml_is_contiguous(op->src[1]) &&
            weights->buffer && ggml_backend_buft_is_host(weights->buffer->buft)) {
            return ggml::cpu::amx::get_tensor_traits(nullptr, nullptr);
        }
""",
        reason="the same: the AMX function accepts weights that were not copied, if it supports their shape; "
        "one matrix at a time, because it counts the distance between matrices in elements instead of bytes; and not "
        "for 5 to 128 tokens, where it reads all weights again for every four and other functions are faster",
    ),
    Patch(
        file="ggml/src/ggml-cpu/amx/mmq.cpp",
        anchor="vb[col] =  _mm512_cvtph_ps(",
        replacement="""\
_mm_prefetch(reinterpret_cast<const char *>(B + (COLS + col) * K + k), _MM_HINT_T0);
                vb[col] =  _mm512_cvtph_ps(""",
        reason="the function reads six rows at once, too many streams for the processor's prefetcher; "
        "explicit prefetching shortens generation by a quarter",
    ),
    Patch(
        file="ggml/src/ggml-cpu/amx/mmq.cpp",
        anchor="const char * b_ptr = B + PACKED_INDEX(col, i, KB, TILE_SIZE);",
        replacement="""\
const char * b_ptr = B + PACKED_INDEX(col, i, KB, TILE_SIZE);
            for (int line = 0; line < TILE_SIZE; line += 64) {
                _mm_prefetch(b_ptr + 4096 + line, _MM_HINT_T0);
            }""",
        reason="the same, one page ahead, for the other types, which read four rows of tiles at once",
        count=7,
    ),
    Patch(
        file="ggml/src/ggml-cpu/simd-mappings.h",
        anchor="#define GGML_CPU_COMPUTE_FP32_TO_FP16(x) _cvtss_sh(x, 0)\n",
        replacement="""\
#define GGML_CPU_COMPUTE_FP32_TO_FP16(x) _cvtss_sh(x, 0)
        #define GGML_CPU_FP32_TO_FP16(x) GGML_CPU_COMPUTE_FP32_TO_FP16(x)
""",
        reason="the engine's own code takes a dozen instructions; prompts take up to a twentieth less time",
    ),
    Patch(
        file="ggml/src/ggml-cpu/ops.cpp",
        anchor='#include "ops.h"\n',
        replacement='#include "ops.h"\n' + _CONVERT_HALVES,
        reason="attention used a table of 256 KiB for each number, although the processor converts halves; "
        "prompts take up to a tenth less time",
    ),
    Patch(
        file="ggml/src/ggml-cpu/amx/mmq.cpp",
        anchor='#include "simd-mappings.h"\n',
        replacement=_CONVERT_HALVES,
        reason="the same for the scales of quantized blocks",
    ),
    Patch(
        file="ggml/src/ggml-cpu/arch/x86/repack.cpp",
        anchor='#include "simd-mappings.h"\n',
        replacement=_CONVERT_HALVES,
        reason="the same for weights repacked for processors without AMX; Q4_0 generates up to a seventh faster",
    ),
    Patch(
        file="ggml/src/ggml-cpu/amx/amx.cpp",
        anchor="void * data = ggml_aligned_malloc(size);",
        replacement="void * data = ggml_aligned_malloc(size);\n    llamafile_prefer_huge_pages(data, size);",
        reason="many systems use pages of 2 MiB only on request; generation takes up to a twentieth less time",
    ),
    Patch(
        file="ggml/src/ggml-cpu/repack.cpp",
        anchor="buffer->iface.init_tensor = ggml_backend_cpu_repack_buffer_init_tensor;",
        replacement="""\
buffer->iface.init_tensor = ggml_backend_cpu_repack_buffer_init_tensor;
    void llamafile_prefer_huge_pages(void *, size_t);
    llamafile_prefer_huge_pages(ggml_backend_buffer_get_base(buffer), size);""",
        reason="the same for weights repacked for processors without AMX",
    ),
    Patch(
        file="ggml/src/ggml-backend.cpp",
        anchor="    memset(buffer->context, value, buffer->size);",
        replacement="""\
    void llamafile_prefer_huge_pages(void *, size_t);
    llamafile_prefer_huge_pages(buffer->context, buffer->size);
    memset(buffer->context, value, buffer->size);""",
        reason="the same for the KV cache; not for intermediate results, of which only a part is used",
    ),
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
        replacement="llamafile_serving();",
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
)


def patches_key(patches: tuple[Patch, ...] = PATCHES) -> str:
    """Return the text of PATCHES that decides the bytes of the source: all but the reasons."""
    return repr([(patch.file, patch.anchor, patch.replacement, patch.count) for patch in patches])


def apply_patches(source: Path, patches: tuple[Patch, ...] = PATCHES) -> None:
    """Apply PATCHES to the engine's SOURCE tree.

    Raises:
        AnchorError: an anchor occurs in its file more or less often than expected; earlier patches are already applied.
    """
    for patch in patches:
        file = source / patch.file
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        found = text.count(patch.anchor)
        if found != patch.count:
            raise AnchorError(patch.file, patch.anchor, found, patch.count)
        file.write_text(text.replace(patch.anchor, patch.replacement), encoding="utf-8")
