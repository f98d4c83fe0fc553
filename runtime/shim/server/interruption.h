// Control-C, and other requests to end.

#pragma once

// To be called first, while the program may still open something.
void prepare_to_end();

// From now on a request to end is granted within a second, whatever the engine is about: it waits for clients that read
// slowly, and for the piece of a prompt that is being computed. A second request is granted at once. To be called when
// the engine's own handlers are in place: they are asked first.
void end_promptly();
