// The settings of the terminal, which editing of input lines changes.

#pragma once

void save_terminal();

// Restores the saved settings, if any. A signal handler may call it.
void restore_terminal();
