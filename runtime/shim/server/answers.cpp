#include "server/answers.h"

#include <memory>
#include <string>
#include <utility>

namespace {

constexpr const char DATA[] = "data: ";
constexpr const char NAME[] = "event: ";

// Changes the events of one stream, whose pieces may end anywhere.
class EventChanger {
  public:
    explicit EventChanger(AnswerChange function) : change(std::move(function)) {}

    // The lines that PIECE completes, after the change.
    std::string add(const std::string &piece) {
        pending += piece;
        std::string ready;
        for (size_t end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
            ready += changed(pending.substr(0, end));
            pending.erase(0, end + 1);
        }
        return ready;
    }

  private:
    // LINE after the change. The line with an event's name waits for its data, which may get another one.
    std::string changed(const std::string &line) {
        if (line.starts_with(NAME)) {
            name = line + "\n";
            return "";
        }
        if (!line.starts_with(std::string(DATA) + "{")) {
            return std::exchange(name, "") + line + "\n";
        }
        common_json data = common_json::parse(line.substr(sizeof DATA - 1));
        change(data);
        if (!name.empty() && data.contains("type")) { // an error has none
            name = NAME + data.at("type").get<std::string>() + "\n";
        }
        return std::exchange(name, "") + DATA + data.dump_safe() + "\n";
    }

    AnswerChange change;
    std::string pending;
    std::string name; // the line with the name of the event, until its data come
};

httplib::ContentProvider changed_provider(httplib::ContentProvider engine, const AnswerChange &change) {
    const auto changer = std::make_shared<EventChanger>(change);
    return [engine = std::move(engine), changer](size_t offset, size_t length, httplib::DataSink &sink) {
        const auto write = sink.write;
        sink.write = [&](const char *data, size_t size) {
            const std::string ready = changer->add(std::string(data, size));
            return ready.empty() || write(ready.data(), ready.size());
        };
        const bool result = engine(offset, length, sink);
        sink.write = write;
        return result;
    };
}

} // namespace

void change_answer(httplib::Response &response, const AnswerChange &change) {
    if (response.content_provider_) {
        response.content_provider_ = changed_provider(std::move(response.content_provider_), change);
        return;
    }
    common_json answer = common_json::parse_no_throw(response.body);
    if (!answer.is_discarded()) {
        change(answer);
        response.body = answer.dump_safe();
    }
}
