#include "gpu/probe.h"

#include "base/environment.h"
#include "gpu/child.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <system_error>

namespace {

// A driver may compile its own parts when it is used for the first time.
constexpr int SECONDS = 20;
constexpr long LONGEST = 3600;
constexpr const char SECONDS_VARIABLE[] = "LLAMAFILE_GPU_SECONDS";

int limit() {
    const long seconds = std::strtol(variable(SECONDS_VARIABLE).c_str(), nullptr, 10);
    return seconds > 0 && seconds < LONGEST ? static_cast<int>(seconds) : SECONDS;
}

std::string last_line(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) {
        text.pop_back();
    }
    return text.substr(text.find_last_of('\n') + 1); // npos + 1 is 0
}

ProbeResult parse(const std::string &output) {
    ProbeResult result;
    const nlohmann::ordered_json json = nlohmann::ordered_json::parse(output);
    for (const nlohmann::ordered_json &device : json.at("devices")) {
        result.devices.push_back(device_of(device));
    }
    result.obstacle = json.at("obstacle");
    return result;
}

// A signal of POSIX, or what Windows calls an exception: those are known by their hexadecimal numbers.
std::string crash_name(int status) {
    if (status >= 0) {
        return std::to_string(status);
    }
    char text[16];
    std::snprintf(text, sizeof text, "0x%08x", static_cast<unsigned>(status));
    return text;
}

ProbeResult failure(std::string obstacle) {
    ProbeResult result;
    result.obstacle = std::move(obstacle);
    return result;
}

} // namespace

ProbeResult probe_with(const std::string &program) {
    set_variable(PROBE_VARIABLE, PROBE); // which the child inherits
    const ChildResult child = run_child(program, limit());
    remove_variable(PROBE_VARIABLE);
    switch (child.end) {
    case ChildResult::End::NOT_STARTED: {
        ProbeResult result =
            failure("the program for GPUs cannot be started: " + std::system_category().message(child.status));
        result.is_refused = true;
        return result;
    }
    case ChildResult::End::TIMED_OUT:
        return failure("a driver gives no answer for " + std::to_string(limit()) + " seconds");
    case ChildResult::End::CRASHED:
        return failure("a driver crashes (" + crash_name(child.status) + ")");
    case ChildResult::End::EXITED:
        break;
    }
    try {
        return parse(child.output);
    } catch (const nlohmann::json::exception &) {
        const std::string reason = last_line(child.errors);
        return failure("the program for GPUs does not run here" + (reason.empty() ? "" : ": " + reason));
    }
}
