// `llamafile-bench --roofline`: the limits of this machine. A model that reads its weights once per token generates at
// most as many tokens as memory is read; a prompt takes at least the time of its multiplications.

#pragma once

// The main() of the tool with this option.
int run_roofline(int argc, char **argv);

void print_roofline_usage();
