// Opens the user's web browser at the server's page.

#pragma once

#include <string>

class Browser {
  public:
    // Must be called while the process is unconfined and has one thread: starts the helper that opens the browser.
    void prepare();

    // Opens ADDRESS + PATH, ADDRESS as the server reports it, at the first call after prepare(). Returns at once;
    // failures are logged.
    void open(const std::string &address, const std::string &path);

  private:
    void open_page(const std::string &url);

    bool is_prepared = false;
    int helper = -1; // the pipe to the helper process, where there is one
};

// Logs that PROBLEM prevents opening URL.
void report_browser_failure(const std::string &problem, const std::string &url);
