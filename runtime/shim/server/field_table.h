// The table of the fields that the endpoints document.

#pragma once

#include "server/endpoint.h"

#include <vector>

enum class Shape {
    BOOLEAN,
    INTEGER,
    COUNT, // an integer, but not 0; -1 stands for no limit
    NUMBER,
    STRING,
    STRINGS, // an array of strings that are not empty
    TEXTS,   // the same, or one such string
    OBJECT,
    ARRAY,
    BIASES, // an object or an array
    ONE_OF,
};

constexpr double UNLIMITED = 3e38; // the engine's numbers have 32 bits

struct Field {
    const char *name = "";
    unsigned endpoints = 0; // those that document it
    Shape shape = Shape::ONE_OF;
    double min = -UNLIMITED, max = UNLIMITED;
    const char *allowed = ""; // the values of ONE_OF, an array in JSON
    const char *why = "";     // why there are no others
};

const std::vector<Field> &all_fields();
