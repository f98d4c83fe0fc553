// What becomes of a program whose mapped weights are cut, or whose disk is gone, while it runs.

#pragma once

// From now on it says so and ends, instead of being killed without a word.
void explain_page_faults();
