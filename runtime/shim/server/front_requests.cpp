// Requests on their way to the engine, and its answers on their way back.

#include "base/text.h"
#include "server/answer_changes.h"
#include "server/endpoint.h"
#include "server/error_envelope.h"
#include "server/front.h"
#include "server/legacy_completions.h"
#include "server/request_fields.h"
#include "server/request_rules.h"
#include "server/session.h"

#include <stdexcept>
#include <string>
#include <vector>

namespace {

using httplib::Request;
using httplib::Response;

constexpr int OK = 200;

// What is unknown, as of a model that another process serves, stays at its default.
ModelFacts model_facts(const EngineCall &engine) {
    ModelFacts facts;
    const common_json properties = engine("/props", nullptr);
    if (properties.contains("chat_template_caps")) {
        const common_json &abilities = properties.at("chat_template_caps");
        facts.knows_tools = abilities.value("supports_tools", true) || abilities.value("supports_tool_calls", true);
    }
    const common_json models = engine("/v1/models", nullptr).at("data");
    if (!models.empty() && models.at(size_t{0}).contains("meta") && models.at(size_t{0}).at("meta").is_object()) {
        facts.vocabulary_size = models.at(size_t{0}).at("meta").value("n_vocab", int64_t{0});
    }
    return facts;
}

// A null value is no value, but the engine minds some of them.
void remove_nulls(common_json &body) {
    std::vector<std::string> names;
    for (const auto &[name, value] : body.items()) {
        if (value.is_null()) {
            names.push_back(name);
        }
    }
    for (const std::string &name : names) {
        body.erase(name);
    }
}

// Changes BODY for the engine, and returns what its answer needs then.
AnswerChange prepare(Endpoint endpoint, common_json &body, const EngineCall &engine,
                     const std::function<bool()> &is_abandoned) {
    if (!body.is_object()) {
        throw std::invalid_argument("the body is JSON, but not an object");
    }
    remove_nulls(body);
    check_fields(endpoint, body);
    AnswerChange change = answer_change(endpoint, body);
    const bool needs_facts = body.contains("tools") || body.contains("logit_bias");
    apply_rules(endpoint, body, needs_facts ? model_facts(engine) : ModelFacts());
    return endpoint == COMPLETIONS ? prepare_legacy_completion(body, engine, is_abandoned) : change;
}

// The model ID in LIST, the answer of /v1/models; null if there is none.
common_json model_in(const common_json &list, const std::string &id) {
    for (const common_json &model : list.at("data")) {
        if (model.at("id") == id) {
            return model;
        }
    }
    return nullptr;
}

} // namespace

httplib::Server::Handler Front::checked(const std::string &pattern, const Handler &engine) {
    const Endpoint endpoint = endpoint_at(pattern);
    if (endpoint == NO_ENDPOINT) {
        return engine;
    }
    return [this, endpoint, engine](const Request &request, Response &response) {
        if (session().is_router) { // the child of the model checks and corrects
            engine(request, response);
            return;
        }
        const EngineCall to_engine = [this](const std::string &path, const common_json &body) {
            return call(path, body);
        };
        AnswerChange change;
        try {
            common_json body = common_json::parse(request.body);
            change = prepare(endpoint, body, to_engine, request.is_connection_closed);
            const_cast<Request &>(request).body = body.dump_safe(); // of process_request(), which is not constant there
        } catch (const FieldError &error) {
            set_error(request, response, {400, error.what(), error.field()});
            return;
        } catch (const std::exception &error) {
            set_error(request, response, {400, clear_text(error.what())});
            return;
        }
        engine(request, response);
        if (response.status == OK && change) {
            change_answer(response, change);
        }
    };
}

common_json Front::call(const std::string &path, const common_json &body) const {
    Request request;
    request.method = body.is_null() ? "GET" : "POST";
    request.path = path;
    request.body = body.is_null() ? "" : body.dump_safe();
    request.is_connection_closed = [] { return false; };
    Response response;
    const auto &handlers = body.is_null() ? getters : posters;
    handlers.at(path)(request, response);
    const common_json answer = common_json::parse(response.body);
    if (response.status != OK) {
        throw std::runtime_error(answer.at("error").at("message").get<std::string>());
    }
    return answer;
}

void Front::add_model_route(const std::string &pattern, const Handler &engine) {
    const std::string route = pattern + "/(.+)";
    routes.add("GET", route);
    httplib::Server::Get(route, [engine](const Request &request, Response &response) {
        engine(request, response);
        const std::string id = request.matches[1];
        const common_json model = response.status == OK ? model_in(common_json::parse(response.body), id) : nullptr;
        if (!model.is_null()) {
            response.body = model.dump_safe();
        } else if (response.status == OK) {
            set_error(request, response,
                      {404, "there is no model '" + escape_controls(id) + "' at this server", "model"});
        }
    });
}
