#include "roofline/roofline.h"

#include "cpu/cache_size.h"
#include "cpu/cpu_variant.h"
#include "ggml-backend.h"
#include "roofline/instructions.h"
#include "roofline/measurement.h"
#include "roofline/options.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace {

constexpr const char USAGE[] = R"(
measuring the machine instead of a model:
  --roofline                                  print how fast memory is read, and the peak rates of the multiply-add
                                              instructions that the program computes with; takes no model, and of the
                                              other options:
  -t, --threads <n>                           with so many threads (default: 1 to the number of cores)
  -o, --output <json|md>                      output format printed to stdout (default: md)
)";

constexpr uint64_t MIB = 1 << 20;

struct Peak {
    Instructions instructions;
    std::vector<Rates> rates;
};

struct Roofline {
    uint64_t memory_size = 0;
    std::vector<Rates> reads;
    std::vector<Peak> peaks;
};

Roofline measure(const std::vector<int> &threads) {
    Roofline found;
    found.memory_size = memory_to_read();
    found.reads = read_rates(found.memory_size, readers_for(cpu_variant_features()), threads);
    for (const Instructions &instructions : instructions_for(cpu_variant_features(), cpu_features())) {
        found.peaks.push_back({instructions, operation_rates(instructions, threads)});
    }
    return found;
}

std::string processor_name() {
    const ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    return device == nullptr ? "unknown" : ggml_backend_dev_description(device);
}

void print_row(const std::string &measured, const std::string &instructions, const Rates &rates, const char *unit) {
    std::printf("| %-14s | %-32s | %7d | %9.1f | %9.1f | %-5s |\n", measured.c_str(), instructions.c_str(),
                rates.threads, rates.best, rates.median, unit);
}

void print_table(const Roofline &found) {
    std::printf("processor: %s, variant %s\n", processor_name().c_str(), cpu_variant());
    std::printf("read: %llu MiB of memory", static_cast<unsigned long long>(found.memory_size / MIB));
    if (largest_cache() != 0) {
        std::printf("; the largest cache has %llu MiB", static_cast<unsigned long long>(largest_cache() / MIB));
    }
    std::printf("\n\n| %-14s | %-32s | %7s | %9s | %9s | %-5s |\n", "measured", "instructions", "threads", "best",
                "median", "unit");
    std::printf("| -------------- | -------------------------------- | ------: | --------: | --------: | ----- |\n");
    for (const Rates &rates : found.reads) {
        print_row("read", "", rates, "GB/s");
    }
    for (const Peak &peak : found.peaks) {
        for (const Rates &rates : peak.rates) {
            const std::string kind = peak.instructions.kind;
            print_row(peak.instructions.is_used ? kind : kind + ", not used", peak.instructions.name, rates, "GOP/s");
        }
    }
}

nlohmann::ordered_json json_of(const Rates &rates, const char *unit) {
    return {{"n_threads", rates.threads},
            {"best_" + std::string(unit), rates.best},
            {"median_" + std::string(unit), rates.median}};
}

void print_json(const Roofline &found) {
    nlohmann::ordered_json reads = nlohmann::ordered_json::array(), peaks = nlohmann::ordered_json::array();
    for (const Rates &rates : found.reads) {
        reads.push_back(json_of(rates, "gb_s"));
    }
    for (const Peak &peak : found.peaks) {
        for (const Rates &rates : peak.rates) {
            nlohmann::ordered_json row = {{"kind", peak.instructions.kind},
                                          {"instructions", peak.instructions.name},
                                          {"is_used", peak.instructions.is_used}};
            row.update(json_of(rates, "gop_s"));
            peaks.push_back(row);
        }
    }
    const nlohmann::ordered_json result = {{"cpu_info", processor_name()},
                                           {"cpu_variant", cpu_variant()},
                                           {"largest_cache", largest_cache()},
                                           {"memory_read", found.memory_size},
                                           {"reads", reads},
                                           {"peaks", peaks}};
    std::puts(result.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

} // namespace

int run_roofline(int argc, char **argv) {
    const RooflineOptions options = parse_roofline_options({argv + 1, argv + argc});
    const Roofline found = measure(options.threads);
    if (options.is_json) {
        print_json(found);
    } else {
        print_table(found);
    }
    return 0;
}

void print_roofline_usage() {
    std::fputs(USAGE, stdout);
}
