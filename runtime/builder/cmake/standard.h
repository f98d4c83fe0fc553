// The headers of the standard library that the engine's C++ includes most. They are compiled once, ahead of its files, of
// which each would read most of them again.

#ifndef LLAMAFILE_STANDARD_H
#define LLAMAFILE_STANDARD_H

// A file that wants M_PI asks for it before its own #include <cmath>, which comes too late here.
#define _USE_MATH_DEFINES

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <chrono>
#include <cinttypes>
#include <cmath>
#include <condition_variable>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iomanip>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <queue>
#include <random>
#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#endif
