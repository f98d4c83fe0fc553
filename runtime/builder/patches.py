"""The edits that the engine's source needs beyond what compiler flags can do: few, small, and anchored.

An edit names a piece of a line that must stand in the file exactly as often as it says, mostly once. Another version of
the engine, where it does not, stops the build instead of building something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runtime.errors import AnchorError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["EDITS", "Edit", "apply_edits"]


@dataclass(frozen=True, slots=True)
class Edit:
    """One replacement in one file of the engine, made COUNT times."""

    file: str
    anchor: str
    replacement: str
    reason: str
    count: int = 1


# Not in all files: where the converted number is multiplied into a sum that goes on, as in quants.c, LLVM loads it over
# the register of the sum (vpinsrw), so that each block waits for the one before: answers took more than twice the time.
_HALVES_ARE_CONVERTED: Final = """\
#include "simd-mappings.h"
#ifdef __F16C__
#undef GGML_CPU_FP16_TO_FP32
#define GGML_CPU_FP16_TO_FP32(x) GGML_CPU_COMPUTE_FP16_TO_FP32(x)
#endif
"""

EDITS: Final = (
    Edit(
        file="ggml/src/ggml-cpu/amx/amx.cpp",
        anchor="static bool ggml_amx_init() {",
        replacement="static bool ggml_amx_init() {\n    return llamafile_has_amx();",
        reason="what was compiled for such processors must not run on others; and the system is asked for their "
        "registers once, when a program starts, not for every operation from inside the sandbox",
    ),
    Edit(
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
        reason="templates of the standard library, compiled for new processors, could be taken by all of the program",
    ),
    Edit(
        file="ggml/src/ggml-cpu/amx/common.h",
        anchor="        t.join();\n    }",
        replacement="        t.join();\n    }\n#endif",
        reason="the end of what the edit before replaces",
    ),
    Edit(
        file="ggml/src/ggml-cpu/amx/amx.cpp",
        anchor="            case GGML_TYPE_F16:\n                alignment = 16;\n                break;\n",
        replacement="",
        reason="it computes with F16 as it is stored; to copy all of it cost its size in memory, and half a second",
    ),
    Edit(
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
        reason="the same: its function computes with weights that were not copied, if they have the shape that it is "
        "made for; one matrix at a time, as it takes where the next one begins for a number of elements, not bytes; "
        "and not with 5 to 128 tokens: it reads all weights again for every four, and others take less time",
    ),
    Edit(
        file="ggml/src/ggml-cpu/amx/mmq.cpp",
        anchor="vb[col] =  _mm512_cvtph_ps(",
        replacement="""\
_mm_prefetch(reinterpret_cast<const char *>(B + (COLS + col) * K + k), _MM_HINT_T0);
                vb[col] =  _mm512_cvtph_ps(""",
        reason="six rows are read at once, too many for a processor that guesses what is read next: the next six are "
        "asked for meanwhile; answers take a quarter less time",
    ),
    Edit(
        file="ggml/src/ggml-cpu/amx/mmq.cpp",
        anchor="const char * b_ptr = B + PACKED_INDEX(col, i, KB, TILE_SIZE);",
        replacement="""\
const char * b_ptr = B + PACKED_INDEX(col, i, KB, TILE_SIZE);
            for (int line = 0; line < TILE_SIZE; line += 64) {
                _mm_prefetch(b_ptr + 4096 + line, _MM_HINT_T0);
            }""",
        reason="the same for the other types, of which four rows of tiles are read at once, one page ahead",
        count=7,
    ),
    Edit(
        file="ggml/src/ggml-cpu/simd-mappings.h",
        anchor="#define GGML_CPU_COMPUTE_FP32_TO_FP16(x) _cvtss_sh(x, 0)\n",
        replacement="""\
#define GGML_CPU_COMPUTE_FP32_TO_FP16(x) _cvtss_sh(x, 0)
        #define GGML_CPU_FP32_TO_FP16(x) GGML_CPU_COMPUTE_FP32_TO_FP16(x)
""",
        reason="the engine's own way takes a dozen instructions; prompts take up to a twentieth less time",
    ),
    Edit(
        file="ggml/src/ggml-cpu/ops.cpp",
        anchor='#include "ops.h"\n',
        replacement='#include "ops.h"\n' + _HALVES_ARE_CONVERTED,
        reason="attention looked every number up in a table of 256 KiB, although the processor converts it; "
        "prompts take up to a tenth less time",
    ),
    Edit(
        file="ggml/src/ggml-cpu/amx/mmq.cpp",
        anchor='#include "simd-mappings.h"\n',
        replacement=_HALVES_ARE_CONVERTED,
        reason="the same for the scales of what is multiplied",
    ),
    Edit(
        file="ggml/src/ggml-cpu/arch/x86/repack.cpp",
        anchor='#include "simd-mappings.h"\n',
        replacement=_HALVES_ARE_CONVERTED,
        reason="the same for the copies that other processors want; Q4_0's answers take up to a seventh less time",
    ),
    Edit(
        file="ggml/src/ggml-cpu/amx/amx.cpp",
        anchor="void * data = ggml_aligned_malloc(size);",
        replacement="void * data = ggml_aligned_malloc(size);\n    llamafile_prefer_huge_pages(data, size);",
        reason="many systems give pages of 2 MiB only to those who ask; answers take up to a twentieth less time",
    ),
    Edit(
        file="ggml/src/ggml-cpu/repack.cpp",
        anchor="buffer->iface.init_tensor = ggml_backend_cpu_repack_buffer_init_tensor;",
        replacement="""\
buffer->iface.init_tensor = ggml_backend_cpu_repack_buffer_init_tensor;
    void llamafile_prefer_huge_pages(void *, size_t);
    llamafile_prefer_huge_pages(ggml_backend_buffer_get_base(buffer), size);""",
        reason="the same for the copies that other processors want",
    ),
    Edit(
        file="ggml/src/ggml-backend.cpp",
        anchor="    memset(buffer->context, value, buffer->size);",
        replacement="""\
    void llamafile_prefer_huge_pages(void *, size_t);
    llamafile_prefer_huge_pages(buffer->context, buffer->size);
    memset(buffer->context, value, buffer->size);""",
        reason="the same for the cache of a context; not for intermediate results, of which only a part is ever used",
    ),
    Edit(
        file="tools/server/server.cpp",
        anchor='uses_default_port |= string_ends_with(address, ":8080");',
        replacement="",
        reason="8080 is llamafile's port for good; the engine announces at every start that its own will change",
    ),
    Edit(
        file="common/arg.cpp",
        anchor="static_cast<int>(utf8.buf.size()) == argc",
        replacement="false",
        reason="on Windows the engine would take the process's own arguments for ours, which have .args among them",
    ),
    Edit(
        file="common/arg.cpp",
        anchor="common_params_apply_system_config(params, ctx_arg.ex);",
        replacement="if (!llamafile_sealed()) { common_params_apply_system_config(params, ctx_arg.ex); }",
        reason="a packed file answers the same on every machine: "
        "what is configured there counts only if it is asked for",
    ),
    Edit(
        file="common/arg.cpp",
        anchor="static std::string read_file(const std::string & fname) {",
        replacement="static std::string read_file(const std::string & fname) {\n"
        "    std::string member;\n"
        "    if (llamafile_read_text(fname, member)) { return member; }",
        reason="grammars, templates and schemas may be members of the archive",
    ),
    Edit(
        file="tools/cli/cli-server.h",
        anchor="port = common_http_get_free_port();",
        replacement="port = params.port;",
        reason="the terminal chat has the server beside it that everybody else can use too, where they expect it",
    ),
    Edit(
        file="tools/mtmd/clip.cpp",
        anchor="open_ifstream_binary(fname)",
        replacement="open_ifstream_binary(llamafile_disk_file(fname))",
        reason="a projector's metadata is read through ggml_fopen, its tensors by name and offset",
    ),
    Edit(
        file="tools/server/server-context.cpp",
        anchor="task.params.oaicompat_model   = meta->model_name;",
        replacement="task.params.oaicompat_model = "
        'llamafile_model_name(meta->model_name, json_value(data, "model", std::string()));',
        reason="clients that check the model's name expect the one they sent, as llamafile answers",
    ),
    Edit(
        file="tools/server/server-chat.cpp",
        anchor="json oai_body;",
        replacement='json oai_body = {{"model", json_value(body, "model", std::string())}};',
        reason="the same for /v1/messages, where the conversion forgets it",
    ),
    Edit(
        file="tools/server/server.cpp",
        anchor='SRV_INF("listening on %s\\n", address.c_str());',
        replacement="llamafile_listening(address);",
        reason="a browser is shown where the server is",
    ),
    Edit(
        file="tools/server/server.cpp",
        anchor="// this call blocks the main thread until queue_tasks.terminate() is called",
        replacement="llamafile_serving();",
        reason="from here on the server needs no files and no connections of its own",
    ),
    Edit(
        file="common/json.cpp",
        anchor="as_json(&out) = ordered_json::parse(text);",
        replacement="llamafile_check_json(text);\n        as_json(&out) = ordered_json::parse(text);",
        reason="JSON is copied, printed and converted by recursion: nested deep enough, it overflows the stack",
    ),
    Edit(
        file="src/llama-grammar.cpp",
        anchor="const char * pos = parse_space(src, true);",
        replacement="llamafile_check_grammar(src);\n        const char * pos = parse_space(src, true);",
        reason="a grammar is parsed by recursion, and takes time that grows with the square of its size",
    ),
    Edit(
        file="src/llama-grammar.cpp",
        anchor="if ((*rules_in_progress)[rule_index]) {",
        replacement="if ((*rules_visited)[rule_index]) { return false; }\n    if ((*rules_in_progress)[rule_index]) {",
        reason="rules found good are not looked at again: forty lines of `a ::= b | b` took longer than anybody waits",
    ),
    Edit(
        file="common/common.cpp",
        anchor="int n_tokens = text.length() + 2 * add_special;",
        replacement="llamafile_check_text(text.length());\n    int n_tokens = text.length() + 2 * add_special;",
        reason="100 MB of text took 4.5 GB to tokenize, before it was compared with the context's size",
    ),
    Edit(
        file="tools/server/server-common.cpp",
        anchor="result.reserve(json_prompt.size());",
        replacement="llamafile_check_prompts(json_prompt.size());\n        result.reserve(json_prompt.size());",
        reason="every text becomes a task, and cancelling them takes time that grows with the square of their number",
    ),
    Edit(
        file="tools/server/server-context.cpp",
        anchor="std::vector<server_tokens> tokenized_prompts;",
        replacement="llamafile_check_prompts(prompt.is_array() && !json_is_array_and_contains_numbers(prompt) "
        "? prompt.size() : 1);\n    std::vector<server_tokens> tokenized_prompts;",
        reason="the same for texts to embed",
    ),
    Edit(
        file="tools/server/server.cpp",
        anchor="} catch (const std::invalid_argument & e) {",
        replacement="} catch (const common_json_error & e) {\n"
        "            error = ERROR_TYPE_INVALID_REQUEST;\n"
        "            message = e.what();\n"
        "        } catch (const std::invalid_argument & e) {",
        reason="a body that is not JSON, or has a number where a text belongs, is a mistake of the client",
    ),
    Edit(
        file="vendor/cpp-httplib/httplib.cpp",
        anchor="if (idle_thread_count_ == 0 &&",
        replacement="if (jobs_.size() > idle_thread_count_ &&",
        reason="a thread that was woken still counts as idle: of many clients at once, one waited behind silent ones",
    ),
    Edit(
        file="common/arg.cpp",
        anchor="            if (!seen_args.insert(arg).second) {",
        replacement="            if (false) {",
        reason="what is given again either adds or counts last, as the manual says; the engine warns of both",
    ),
    Edit(
        file="tools/server/server-http.cpp",
        anchor="serve_asset_cached(a.name, false, cache_immutable)",
        replacement="serve_asset_cached(a.name, false, "
        'a.name.rfind("_app/immutable/", 0) == 0 ? cache_immutable : cache_revalidate)',
        reason="browsers would keep for a year what another llamafile showed at this address",
    ),
)


def apply_edits(source: Path, edits: tuple[Edit, ...] = EDITS) -> None:
    """Make EDITS in the engine's SOURCE tree.

    Raises:
        AnchorError: an anchor does not stand in its file as often as it should; files before it are already edited.
    """
    for edit in edits:
        file = source / edit.file
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        found = text.count(edit.anchor)
        if found != edit.count:
            raise AnchorError(edit.file, edit.anchor, found, edit.count)
        file.write_text(text.replace(edit.anchor, edit.replacement), encoding="utf-8")
