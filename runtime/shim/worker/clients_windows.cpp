// Windows cannot copy a process: all clients are served by this one.

#include "worker/clients.h"

#include "base/message.h"

void serve_clients(Listener &listener, bool, const AcceptVisitor &accepts, const ServeClient &serve) {
    for (;;) {
        const std::optional<Visitor> visitor = listener.accept();
        if (!visitor || !accepts(*visitor)) {
            continue;
        }
        const std::string remark = serve(*visitor);
        if (!remark.empty()) {
            log_line(remark);
        }
    }
}
