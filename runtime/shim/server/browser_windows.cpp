#include "server/browser.h"

#include <thread>
#include <windows.h>

#include <shellapi.h>

void Browser::prepare() {
    is_prepared = true;
}

void Browser::open_page(const std::string &url) {
    // In a thread, because the call may take long.
    std::thread([url] {
        const std::wstring wide(url.begin(), url.end());
        const auto answer =
            reinterpret_cast<INT_PTR>(ShellExecuteW(nullptr, L"open", wide.c_str(), nullptr, nullptr, SW_SHOWNORMAL));
        if (answer <= 32) {
            report_browser_failure("Windows cannot open a browser (error " + std::to_string(answer) + ")", url);
        }
    }).detach();
}
