#include "gpu/child.h"

#include <array>
#include <thread>
#include <windows.h>

namespace {

constexpr DWORD FIRST_EXCEPTION = 0xc0000000; // exit statuses from here on are those of crashes

struct Handle {
    HANDLE value = nullptr;

    Handle() = default;
    Handle(const Handle &) = delete;
    Handle &operator=(const Handle &) = delete;
    ~Handle() { close(); }

    void close() {
        if (value != nullptr) {
            CloseHandle(value);
            value = nullptr;
        }
    }
};

std::wstring wide(const std::string &text) {
    const int size = MultiByteToWideChar(CP_UTF8, 0, text.data(), static_cast<int>(text.size()), nullptr, 0);
    std::wstring result(static_cast<size_t>(size), L'\0');
    MultiByteToWideChar(CP_UTF8, 0, text.data(), static_cast<int>(text.size()), result.data(), size);
    return result;
}

void read_all(HANDLE pipe, std::string &text) {
    std::array<char, 4096> buffer{};
    DWORD size = 0;
    while (ReadFile(pipe, buffer.data(), static_cast<DWORD>(buffer.size()), &size, nullptr) != 0 && size > 0) {
        text.append(buffer.data(), size);
    }
}

// The child ends with this process.
void bind_to_this_process(const Handle &job, HANDLE child) {
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits{};
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    SetInformationJobObject(job.value, JobObjectExtendedLimitInformation, &limits, sizeof limits);
    AssignProcessToJobObject(job.value, child);
}

void take_status(HANDLE process, ChildResult &result) {
    DWORD status = 0;
    GetExitCodeProcess(process, &status);
    result.end = status >= FIRST_EXCEPTION ? ChildResult::End::CRASHED : ChildResult::End::EXITED;
    result.status = static_cast<int>(status);
}

} // namespace

ChildResult run_child(const std::string &program, int limit) {
    ChildResult result;
    SECURITY_ATTRIBUTES inherited{sizeof inherited, nullptr, TRUE};
    Handle reader;
    Handle writer;
    if (CreatePipe(&reader.value, &writer.value, &inherited, 0) == 0) {
        return result;
    }
    SetHandleInformation(reader.value, HANDLE_FLAG_INHERIT, 0);
    STARTUPINFOW start{};
    start.cb = sizeof start;
    start.dwFlags = STARTF_USESTDHANDLES;
    start.hStdOutput = writer.value;
    PROCESS_INFORMATION process{};
    std::wstring command = L"\"" + wide(program) + L"\"";
    const BOOL started = CreateProcessW(wide(program).c_str(), command.data(), nullptr, nullptr, TRUE, CREATE_NO_WINDOW,
                                        nullptr, nullptr, &start, &process);
    if (started == 0) {
        result.status = static_cast<int>(GetLastError());
        return result;
    }
    Handle child;
    Handle thread;
    child.value = process.hProcess;
    thread.value = process.hThread;
    Handle job;
    job.value = CreateJobObjectW(nullptr, nullptr);
    bind_to_this_process(job, child.value);
    writer.close();
    std::thread reading(read_all, reader.value, std::ref(result.output));
    if (WaitForSingleObject(child.value, static_cast<DWORD>(limit) * 1000) == WAIT_OBJECT_0) {
        take_status(child.value, result);
    } else {
        TerminateProcess(child.value, 1);
        result.end = ChildResult::End::TIMED_OUT;
    }
    job.close();
    reading.join();
    return result;
}
