// Whether this file answers the same on every machine: what is configured there counts for nothing.

#pragma once

class Container;

// True of a file that carries a model or default arguments. A runtime alone is a program like others.
bool is_packed(const Container &container);

// From here on, or no longer. What the engine reads from the environment is removed from it.
void seal(bool sealed);
