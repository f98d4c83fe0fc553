#include "base/inheritance.h"

void correct_inheritance() {} // handles of closed streams are not used again
