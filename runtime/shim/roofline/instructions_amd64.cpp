#if defined(__x86_64__)

#include "roofline/instructions.h"
#include "roofline/reading.h"

#include <algorithm>
#include <immintrin.h>
#include <iterator>

namespace {

// As many sums as hide the time that one instruction takes, and leave registers for the factors.
constexpr int SUMS_IN_REGISTERS = 12;

// Defines NAME(steps): in each step, SUM is set to NEXT for each of the sums, NEXT being computed of it and of the
// factors A and B. The empty assembler statements keep the compiler from computing anything only once.
#define DEFINE_LOOP(name, features, Sum, zero, factor, next)                                                           \
    __attribute__((target(features))) void name(uint64_t steps) {                                                      \
        Sum sums[SUMS_IN_REGISTERS];                                                                                   \
        for (auto &sum : sums) {                                                                                       \
            sum = zero;                                                                                                \
            __asm__ volatile("" : "+x"(sum));                                                                          \
        }                                                                                                              \
        auto a = (factor), b = a;                                                                                      \
        for (; steps > 0; --steps) {                                                                                   \
            for (auto &sum : sums) {                                                                                   \
                __asm__ volatile("" : "+x"(a), "+x"(b));                                                               \
                sum = next;                                                                                            \
            }                                                                                                          \
        }                                                                                                              \
        for (auto &sum : sums) {                                                                                       \
            __asm__ volatile("" : : "x"(sum));                                                                         \
        }                                                                                                              \
    }

// Versions of clang-format differ on such lines.
// clang-format off
DEFINE_LOOP(run_maddubs128, "ssse3", __m128i, _mm_setzero_si128(), _mm_set1_epi8(1),
            _mm_add_epi32(sum, _mm_madd_epi16(_mm_maddubs_epi16(a, b), b)))
DEFINE_LOOP(run_maddubs256, "avx2", __m256i, _mm256_setzero_si256(), _mm256_set1_epi8(1),
            _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), b)))
DEFINE_LOOP(run_maddubs512, "avx512f,avx512bw", __m512i, _mm512_setzero_si512(), _mm512_set1_epi8(1),
            _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(a, b), b)))
DEFINE_LOOP(run_dpbusd256, "avx2,avxvnni", __m256i, _mm256_setzero_si256(), _mm256_set1_epi8(1),
            _mm256_dpbusd_avx_epi32(sum, a, b))
DEFINE_LOOP(run_dpbusd512, "avx512f,avx512vnni", __m512i, _mm512_setzero_si512(), _mm512_set1_epi8(1),
            _mm512_dpbusd_epi32(sum, a, b))
DEFINE_LOOP(run_dpbf16, "avx512f,avx512bf16", __m512, _mm512_setzero_ps(), _mm512_set1_epi16(0x3f80),
            _mm512_dpbf16_ps(sum, __m512bh(a), __m512bh(b)))
DEFINE_LOOP(run_mulps, "sse2", __m128, _mm_setzero_ps(), _mm_set1_ps(1), _mm_add_ps(sum, _mm_mul_ps(a, b)))
DEFINE_LOOP(run_mulps256, "avx", __m256, _mm256_setzero_ps(), _mm256_set1_ps(1),
            _mm256_add_ps(sum, _mm256_mul_ps(a, b)))
DEFINE_LOOP(run_fma256, "avx2,fma", __m256, _mm256_setzero_ps(), _mm256_set1_ps(1), _mm256_fmadd_ps(a, b, sum))
DEFINE_LOOP(run_fma512, "avx512f", __m512, _mm512_setzero_ps(), _mm512_set1_ps(1), _mm512_fmadd_ps(a, b, sum))
// clang-format on

#undef DEFINE_LOOP

constexpr int TILES = 8;

// Intel SDM, volume 1, 18.3: the operand of ldtilecfg.
struct alignas(64) TileShapes {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
};

constexpr int TILE_ROWS = 16, TILE_ROW_BYTES = 64, TILE_SUMS = 4;

TileShapes full_tiles() {
    TileShapes shapes;
    std::fill_n(shapes.row_bytes, TILES, TILE_ROW_BYTES);
    std::fill_n(shapes.rows, TILES, TILE_ROWS);
    return shapes;
}

// Four sums of two by two factors, as kernels have them: eight tiles are all there are.
#define DEFINE_TILE_LOOP(name, features, multiply)                                                                     \
    __attribute__((target(features))) void name(uint64_t steps) {                                                      \
        const TileShapes shapes = full_tiles();                                                                        \
        _tile_loadconfig(&shapes);                                                                                     \
        _tile_zero(0);                                                                                                 \
        _tile_zero(1);                                                                                                 \
        _tile_zero(2);                                                                                                 \
        _tile_zero(3);                                                                                                 \
        _tile_zero(4);                                                                                                 \
        _tile_zero(5);                                                                                                 \
        _tile_zero(6);                                                                                                 \
        _tile_zero(7);                                                                                                 \
        for (; steps > 0; --steps) {                                                                                   \
            multiply(0, 4, 6);                                                                                         \
            multiply(1, 4, 7);                                                                                         \
            multiply(2, 5, 6);                                                                                         \
            multiply(3, 5, 7);                                                                                         \
        }                                                                                                              \
        _tile_release();                                                                                               \
    }

DEFINE_TILE_LOOP(run_tiles_int8, "amx-tile,amx-int8", _tile_dpbssd)
DEFINE_TILE_LOOP(run_tiles_bf16, "amx-tile,amx-bf16", _tile_dpbf16ps)

#undef DEFINE_TILE_LOOP

constexpr double WIDTH_128 = 16, WIDTH_256 = 32, WIDTH_512 = 64; // bytes

// Of instructions that multiply and add numbers of SIZE bytes in a register of WIDTH bytes.
constexpr double operations(double width, double size) {
    return 2 * width / size * SUMS_IN_REGISTERS;
}

constexpr double tile_operations(double size) {
    return 2.0 * TILE_ROWS * TILE_ROWS * TILE_ROW_BYTES / size * TILE_SUMS;
}

const Instructions ALL[] = {
    {"int8", "tdpbssd", AMX, 0, true, tile_operations(1), run_tiles_int8},
    {"int8", "vpdpbusd zmm", AVX512_VNNI, 0, true, operations(WIDTH_512, 1), run_dpbusd512},
    {"int8", "vpmaddubsw, vpmaddwd, vpaddd zmm", X86_64_V4, AVX512_VNNI, true, operations(WIDTH_512, 1),
     run_maddubs512},
    {"int8", "vpdpbusd ymm", AVX_VNNI, X86_64_V4, true, operations(WIDTH_256, 1), run_dpbusd256},
    {"int8", "vpmaddubsw, vpmaddwd, vpaddd ymm", X86_64_V3, X86_64_V4 | AVX_VNNI, true, operations(WIDTH_256, 1),
     run_maddubs256},
    {"int8", "pmaddubsw, pmaddwd, paddd xmm", 0, X86_64_V3, true, operations(WIDTH_128, 1), run_maddubs128},
    {"bf16", "tdpbf16ps", AMX_BF16, 0, false, tile_operations(2), run_tiles_bf16},
    {"bf16", "vdpbf16ps zmm", AVX512_BF16, 0, true, operations(WIDTH_512, 2), run_dpbf16},
    {"f32", "vfmadd231ps zmm", X86_64_V4, 0, true, operations(WIDTH_512, 4), run_fma512},
    {"f32", "vfmadd231ps ymm", X86_64_V3, X86_64_V4, true, operations(WIDTH_256, 4), run_fma256},
    {"f32", "vmulps, vaddps ymm", AVX, X86_64_V3, true, operations(WIDTH_256, 4), run_mulps256},
    {"f32", "mulps, addps xmm", 0, AVX, true, operations(WIDTH_128, 4), run_mulps},
};

DEFINE_READER(read_128, , 16, 0)
DEFINE_READER(read_128_ahead, , 16, READ_UNIT)
DEFINE_READER(read_256, __attribute__((target("avx"))), 32, 0)
DEFINE_READER(read_256_ahead, __attribute__((target("avx"))), 32, READ_UNIT)
DEFINE_READER(read_512, __attribute__((target("avx512f"))), 64, 0)
DEFINE_READER(read_512_ahead, __attribute__((target("avx512f"))), 64, READ_UNIT)

// A variant names the highest level that it needs, and each level has those below it.
CpuFeatures with_lower_levels(CpuFeatures features) {
    features |= (features & X86_64_V4) != 0 ? X86_64_V3 : 0;
    features |= (features & X86_64_V3) != 0 ? AVX : 0;
    return features;
}

} // namespace

std::vector<Instructions> instructions_for(CpuFeatures variant, CpuFeatures processor) {
    CpuFeatures features = with_lower_levels(variant);
    features |= (variant & AMX) != 0 ? processor & AMX_BF16 : 0;
    std::vector<Instructions> found;
    std::copy_if(std::begin(ALL), std::end(ALL), std::back_inserter(found), [features](const Instructions &one) {
        return (one.needs & ~features) == 0 && (one.better & features) == 0;
    });
    return found;
}

std::vector<Reader> readers_for(CpuFeatures variant) {
    const CpuFeatures features = with_lower_levels(variant);
    if ((features & X86_64_V4) != 0) {
        return {read_512, read_512_ahead};
    }
    return (features & AVX) != 0 ? std::vector<Reader>{read_256, read_256_ahead}
                                 : std::vector<Reader>{read_128, read_128_ahead};
}

#endif
