// Prints the largest error of expf(), in units in the last place, over many numbers and those at its limits.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>

namespace {

float from_bits(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

double error_of(float x) {
    const double exact = std::exp(static_cast<double>(x));
    const float found = expf(x), rounded = static_cast<float>(exact);
    if (std::isnan(x) || std::isinf(rounded)) {
        return std::isnan(x) == std::isnan(found) && std::isinf(rounded) == std::isinf(found) ? 0 : INFINITY;
    }
    const double unit = static_cast<double>(std::nextafter(rounded, INFINITY)) - rounded;
    return std::fabs(found - exact) / unit;
}

} // namespace

int main() {
    constexpr float INFINITE = std::numeric_limits<float>::infinity();
    double worst = 0;
    for (const float x : {0.0F, -0.0F, INFINITE, -INFINITE, std::numeric_limits<float>::quiet_NaN(), 88.72283F,
                          88.72284F, -87.33655F, -103.97208F, -103.97209F, -104.0F, 128.0F, 1e30F, -1e30F, 1e-40F}) {
        worst = std::max(worst, error_of(x));
    }
    for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 997) {
        worst = std::max(worst, error_of(from_bits(static_cast<uint32_t>(bits))));
    }
    printf("%.3f\n", worst);
}
