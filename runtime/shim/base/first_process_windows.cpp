#include "base/first_process.h"

void end_on_signals_as_first_process() {}
