// Programs with ggml-metal inside. Only their structure is tested: no Mac has run them.

#include "gpu/registration.h"

#include "base/message.h"
#include "ggml-backend.h"
#include "ggml-metal.h"
#include "ggml.h"
#include "gpu/selection.h"

#include <memory>

extern "C" {

// Apple's frameworks are linked weakly: this function is null where macOS has no Metal.
void *MTLCreateSystemDefaultDevice() __attribute__((weak_import)); // NOLINT(readability-identifier-naming): Apple's

} // extern "C"

namespace {

constexpr const char BRAND[] = "apple";
constexpr const char DRIVER[] = "Metal, with which no test has run this program";
constexpr const char NO_METAL[] = "this macOS has no Metal";
constexpr const char NO_DEVICE[] = "Metal knows no GPU here";
constexpr const char NO_START[] = "Metal does not start the engine's code";
constexpr const char OTHER_BRAND[] = "on macOS, it uses them by Metal (--gpu apple)";

#ifdef __aarch64__
constexpr GpuDevice::Type TYPE = GpuDevice::Type::INTEGRATED;
#else
constexpr GpuDevice::Type TYPE = GpuDevice::Type::OTHER; // of an Intel processor, or AMD's
#endif

constexpr const char REMARK[] =
    "the GPU computes, by Metal, with which no test has run this program; --gpu disable lets the CPU compute";

void discard(ggml_log_level, const char *, void *) {}

struct Backend {
    ggml_backend_reg_t registry = nullptr;
    std::string obstacle; // why there is none: the end of a sentence
};

// macOS compiles the kernels, which takes seconds, and a failure leaves a device that computes nothing.
bool computes(ggml_backend_dev_t device) {
    return std::unique_ptr<ggml_backend, decltype(&ggml_backend_free)>(ggml_backend_dev_init(device, nullptr),
                                                                       ggml_backend_free) != nullptr;
}

// The engine asks for a device without a look at the answer.
Backend open_backend() {
    if (MTLCreateSystemDefaultDevice == nullptr) {
        return {nullptr, NO_METAL};
    }
    if (MTLCreateSystemDefaultDevice() == nullptr) {
        return {nullptr, NO_DEVICE};
    }
    ggml_log_set(discard, nullptr); // which messages to show is decided later
    Backend backend{ggml_backend_metal_reg(), ""};
    if (!computes(ggml_backend_reg_dev_get(backend.registry, 0))) {
        backend = {nullptr, NO_START};
    }
    ggml_log_set(nullptr, nullptr);
    return backend;
}

const Backend &backend() {
    static const Backend opened = open_backend();
    return opened;
}

} // namespace

bool has_idle_gpu() {
    return false; // all Macs have one, but its use is untested
}

GpuReport report_gpus() {
    GpuReport report{{}, backend().obstacle};
    const size_t count = backend().registry == nullptr ? 0 : ggml_backend_reg_dev_count(backend().registry);
    for (size_t index = 0; index < count; ++index) {
        ggml_backend_dev_t device = ggml_backend_reg_dev_get(backend().registry, index);
        size_t free = 0;
        size_t total = 0;
        ggml_backend_dev_memory(device, &free, &total);
        GpuDevice found;
        found.index = index;
        found.name = ggml_backend_dev_description(device);
        found.brand = BRAND;
        found.type = TYPE;
        found.driver = DRIVER;
        found.memory = total;
        report.devices.push_back(found);
    }
    return report;
}

GpuSearch register_gpus(const GpuRequest &request, const std::string &, const Arguments &) {
    using Kind = GpuRequest::Kind;
    if (request.kind == Kind::SOFTWARE || (request.kind == Kind::BRANDED && request.brand != BRAND)) {
        return {{}, OTHER_BRAND};
    }
    const GpuReport report = report_gpus();
    const std::vector<GpuDevice> devices = devices_for(request, report.devices);
    if (devices.empty()) {
        return {{}, no_devices_reason(request, report.devices, report.obstacle)};
    }
    ggml_backend_register(backend().registry);
    GpuSearch search;
    for (const GpuDevice &device : devices) {
        const char *name = ggml_backend_dev_name(ggml_backend_reg_dev_get(backend().registry, device.index));
        search.gpus.push_back({device.brand, name, device.name});
    }
    log_line(REMARK);
    return search;
}

std::optional<int> probe_status() {
    return std::nullopt; // it looks for GPUs itself
}
