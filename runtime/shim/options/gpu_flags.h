// The options for GPUs, of which a machine may have none.

#pragma once

#include "gpu/gpu.h"
#include "options/flags.h"

// What a command line with OPTIONS asks for.
GpuRequest gpu_request(const Options &options);

// True if OPTIONS say whether to use a GPU.
bool names_gpu(const Options &options);

// What --gpu VALUE asks for.
GpuRequest request_for(const std::string &value);

// The arguments of a tool: for the tool, and what they ask for. The tools have no --gpu, which is taken out.
struct ToolArguments {
    GpuRequest request;
    Arguments rest;
};

ToolArguments split_tool_arguments(const Arguments &arguments);

// An option that needs a GPU: without one, it is left out with a remark.
void on_gpu(Translator &to, const Flag &flag, const Option &option);

// --gpu, which takes a brand; the engine takes devices.
void gpu(Translator &to, const Flag &flag, const Option &option);
