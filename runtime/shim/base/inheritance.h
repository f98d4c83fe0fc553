// What a program inherits from the one that starts it, and does not expect.

#pragma once

// Occupies the descriptors of closed standard streams, which the next opened files would get: what is written to these
// streams must not go there. Lets the process wait for its children, which it cannot where SIGCHLD is ignored.
void correct_inheritance();
