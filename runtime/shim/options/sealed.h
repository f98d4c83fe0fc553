// Whether this file answers the same on every machine: what is configured there counts for nothing.

#pragma once

// From here on, or no longer. What the engine reads from the environment is removed from it.
void seal(bool sealed);
