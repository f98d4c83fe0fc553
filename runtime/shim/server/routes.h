// The paths that the engine answers, and the methods of each.

#pragma once

#include <cpp-httplib/httplib.h>

#include <memory>
#include <string>
#include <vector>

class Routes {
  public:
    // Adds PATTERN of METHOD, in the form of httplib's: a regular expression, or a path with `:name` parameters.
    void add(const std::string &method, const std::string &pattern);

    // The methods that the engine answers at PATH, for the header Allow, if METHOD is none of them; empty if it is one,
    // or if there is no such path.
    std::string allowed_methods(const std::string &path, const std::string &method) const;

  private:
    struct Route {
        std::string method;
        std::unique_ptr<httplib::detail::MatcherBase> matcher;
    };

    std::vector<Route> routes;
};
