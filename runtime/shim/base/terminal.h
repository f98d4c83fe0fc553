// The settings of the terminal, which editing of input lines changes.

#pragma once

// Also restores the settings when a signal ends the program, unless another handler is installed for it later.
void save_terminal();

// Restores the saved settings, if any. A signal handler may call it.
void restore_terminal();
