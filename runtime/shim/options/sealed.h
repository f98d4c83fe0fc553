// Sealed files behave the same on all machines: they ignore configuration files and environment variables.

#pragma once

// Sets whether this process is sealed. If it is, removes the engine's environment variables.
void seal(bool sealed);
