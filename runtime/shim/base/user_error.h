// The error of this program: one sentence, which main() prints before it exits with status 1.

#pragma once

#include <stdexcept>

class UserError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};
