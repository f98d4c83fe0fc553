// Runs LLVMFuzzerTestOneInput on changed seeds, for compilers that come without
// libFuzzer. The same every time.
//
//   mutation RUNS FIRST SEED…      RUNS inputs, of which the first has the
//   number FIRST

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

namespace {

using Bytes = std::vector<uint8_t>;

// Values at which sizes, offsets and counts go wrong.
constexpr uint64_t EDGES[] = {0,         1,          0x7f,       0x80,       0xff,       0xfffe,
                              0xffff,    0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, uint64_t{1} << 32,
                              INT64_MAX, UINT64_MAX};

Bytes read(const char *path) {
    std::ifstream file(path, std::ios::binary);
    return Bytes(std::istreambuf_iterator<char>(file), {});
}

class Mutation {
  public:
    explicit Mutation(uint64_t number) : random(number) {}

    Bytes of(const std::vector<Bytes> &seeds) {
        Bytes bytes = seeds[below(seeds.size())];
        for (size_t changes = 1 + below(6); changes > 0 && !bytes.empty(); --changes) {
            change(bytes, seeds[below(seeds.size())]);
        }
        return bytes;
    }

  private:
    size_t below(size_t limit) { return static_cast<size_t>(random() % limit); }

    void change(Bytes &bytes, const Bytes &other) {
        const size_t at = below(bytes.size()), size = 1 + below(std::min<size_t>(bytes.size() - at, 64));
        const auto place = bytes.begin() + static_cast<std::ptrdiff_t>(at);
        switch (below(8)) {
        case 0:
            bytes[at] ^= static_cast<uint8_t>(1 << below(8));
            break;
        case 1:
            bytes[at] = static_cast<uint8_t>(random());
            break;
        case 2: { // a number that is as wide as fields are
            const uint64_t edge = EDGES[below(std::size(EDGES))];
            for (size_t i = 0, width = size_t{1} << below(4); i < width && at + i < bytes.size(); ++i) {
                bytes[at + i] = static_cast<uint8_t>(edge >> 8 * i);
            }
            break;
        }
        case 3:
            bytes.erase(place, place + static_cast<std::ptrdiff_t>(size));
            break;
        case 4:
            bytes.resize(at);
            break;
        case 5: { // what stands elsewhere, so that two fields agree
            const Bytes piece(place, place + static_cast<std::ptrdiff_t>(size));
            const size_t target = below(bytes.size() - size + 1);
            std::copy(piece.begin(), piece.end(), bytes.begin() + static_cast<std::ptrdiff_t>(target));
            break;
        }
        case 6: { // a piece of itself
            const Bytes piece(place, place + static_cast<std::ptrdiff_t>(size));
            bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size())), piece.begin(), piece.end());
            break;
        }
        default: // the tail of another seed
            if (!other.empty()) {
                bytes.resize(at);
                bytes.insert(bytes.end(), other.begin() + static_cast<std::ptrdiff_t>(below(other.size())),
                             other.end());
            }
        }
    }

    std::mt19937_64 random;
};

} // namespace

int main(int argc, char **argv) {
    if (argc < 4) {
        std::fprintf(stderr, "usage: mutation SECONDS FIRST SEED...\n");
        return 2;
    }
    std::vector<Bytes> seeds;
    for (int i = 3; i < argc; ++i) {
        seeds.push_back(read(argv[i]));
        LLVMFuzzerTestOneInput(seeds.back().data(), seeds.back().size());
    }
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atoi(argv[1]));
    const uint64_t first = std::strtoull(argv[2], nullptr, 10);
    uint64_t number = first;
    for (; std::chrono::steady_clock::now() < end; ++number) {
        const Bytes bytes = Mutation(number).of(seeds);
        LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    }
    std::printf("%llu\n", static_cast<unsigned long long>(number - first));
    return 0;
}
