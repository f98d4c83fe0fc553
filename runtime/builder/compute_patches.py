"""The patches to the code that computes (ggml)."""

from __future__ import annotations

from typing import Final

from runtime.builder.patches import Patch

__all__ = ["COMPUTE_PATCHES"]

# Not in all files: where the converted number is a factor in a running sum, as in quants.c, LLVM loads it over the
# register of the sum (vpinsrw), so that each block waits for the previous one: generation took twice as long and more.
_CONVERT_HALVES: Final = """\
#include "simd-mappings.h"
#ifdef __F16C__
#undef GGML_CPU_FP16_TO_FP32
#define GGML_CPU_FP16_TO_FP32(x) GGML_CPU_COMPUTE_FP16_TO_FP32(x)
#endif
"""

_BARRIER_WAIT: Final = """\
    while (atomic_load_explicit(&tp->n_barrier_passed, memory_order_relaxed) == n_passed) {
        ggml_thread_cpu_relax();
    }"""

_BARRIER_SLEEP: Final = """\
    uint64_t begin = 0;
    while (atomic_load_explicit(&tp->n_barrier_passed, memory_order_relaxed) == n_passed) {
        for (int i = 0; i < 64; i++) {
            ggml_thread_cpu_relax();
        }
        if (!llamafile_may_spin(&begin, tp->poll)) {
            llamafile_sleep_while((int *) &tp->n_barrier_passed, n_passed);
        }
    }"""

COMPUTE_PATCHES: Final = (
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
    void llamafile_zero(void *, size_t);
    const bool is_own = buffer->iface.free_buffer != NULL; // not a mapped file
    if (is_own && value == 0) {
        llamafile_zero(buffer->context, buffer->size);
        return;
    }
    memset(buffer->context, value, buffer->size);""",
        reason="filling the whole KV cache, of which most answers need a part, took a third of the time to the first "
        "token",
    ),
    Patch(
        file="ggml/src/ggml-cpu/ggml-cpu.c",
        anchor="void ggml_barrier(struct ggml_threadpool * tp) {",
        replacement="""\
bool llamafile_may_spin(uint64_t * begin, uint32_t poll);
void llamafile_sleep_while(int * word, int value);
void llamafile_wake(int * word);

void ggml_barrier(struct ggml_threadpool * tp) {""",
        reason="C cannot include hooks.h",
    ),
    Patch(
        file="ggml/src/ggml-cpu/ggml-cpu.c",
        anchor=_BARRIER_WAIT,
        replacement=_BARRIER_SLEEP,
        reason="a thread whose partner has no processor took the time of the partner's; two threads beside two busy "
        "processes took up to thirty times as long as one",
    ),
    Patch(
        file="ggml/src/ggml-cpu/ggml-cpu.c",
        anchor="atomic_fetch_add_explicit(&tp->n_barrier_passed, 1, memory_order_seq_cst);",
        replacement="""\
atomic_fetch_add_explicit(&tp->n_barrier_passed, 1, memory_order_seq_cst);
        llamafile_wake((int *) &tp->n_barrier_passed);""",
        reason="the other half of the previous patch",
    ),
    Patch(
        file="ggml/src/ggml-cpu/ggml-cpu.c",
        anchor="for (uint64_t i=0; !ggml_graph_compute_thread_ready(state) && i < n_rounds; i++) {",
        replacement="""\
(void) n_rounds;
    uint64_t begin = 0;
    for (uint64_t i=1; !ggml_graph_compute_thread_ready(state); i++) {
        if (i % 64 == 0 && !llamafile_may_spin(&begin, threadpool->poll)) { break; }""",
        reason="the same between tokens, where threads wait for the next computation",
    ),
    Patch(
        file="ggml/src/ggml-cpu/traits.cpp",
        anchor="bool ggml_cpu_extra_compute_forward(struct ggml_compute_params * params, struct ggml_tensor * op) {\n",
        replacement="""\
#include "kernels.h"

bool ggml_cpu_extra_compute_forward(struct ggml_compute_params * params, struct ggml_tensor * op) {
    if (llamafile_compute(params, op)) {
        return true;
    }
""",
        reason="products of matrices and attention are computed by runtime/kernels",
    ),
    Patch(
        file="ggml/src/ggml-cpu/traits.cpp",
        anchor="bool ggml_cpu_extra_work_size(int n_threads, const struct ggml_tensor * op, size_t * size) {\n",
        replacement="""\
bool ggml_cpu_extra_work_size(int n_threads, const struct ggml_tensor * op, size_t * size) {
    if (llamafile_work_size(n_threads, op, size)) {
        return true;
    }
""",
        reason="the other half of the previous patch",
    ),
)
