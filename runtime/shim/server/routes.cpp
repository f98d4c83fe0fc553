#include "server/routes.h"

#include "base/text.h"

#include <set>

void Routes::add(const std::string &method, const std::string &pattern) {
    using httplib::detail::PathParamsMatcher;
    using httplib::detail::RegexMatcher;
    Route route{method, nullptr};
    if (pattern.find("/:") != std::string::npos) {
        route.matcher = std::make_unique<PathParamsMatcher>(pattern);
    } else {
        route.matcher = std::make_unique<RegexMatcher>(pattern);
    }
    routes.push_back(std::move(route));
}

std::string Routes::allowed_methods(const std::string &path, const std::string &method) const {
    httplib::Request request;
    request.path = path;
    std::set<std::string> methods;
    for (const Route &route : routes) {
        if (route.matcher->match(request)) {
            methods.insert(route.method);
        }
    }
    if (methods.empty()) {
        return {};
    }
    if (methods.count("GET") != 0) {
        methods.insert("HEAD");
    }
    methods.insert("OPTIONS");
    if (methods.count(method) != 0) {
        return {};
    }
    return join({methods.begin(), methods.end()}, ", ");
}
