#include "options/usage.h"

#include "base/text.h"
#include "options/flags.h"

#include <cstdio>

namespace {

constexpr const char SYNOPSIS[] =
    R"(usage: llamafile [--server] [-m FILE] [--host HOST] [--port N] [OPTION…]
       llamafile [--cli] -p TEXT [-m FILE] [-n N] [--temp X] [OPTION…]
       llamafile --chat [-m FILE] [OPTION…]

Runs a language model from FILE, or from the archive at the end of this very file.
Without a prompt it serves a web page and an OpenAI-compatible API at http://127.0.0.1:8080/.
)";

constexpr const char OPTIONS[] =
    R"(
Modes; the last one counts:
  --server, --v2        serve, even with a prompt; llamafile-server is another name for it
  --cli                 continue a prompt on standard output
  --chat                talk in the terminal, and serve beside it

Model:
  -m, --model FILE      weights (GGUF): a file, or a member of this llamafile
  -mm, --mmproj FILE    the projector of a model for images
  --lora FILE           an adapter; --lora-scaled FILE X applies a part of it
  -md, --model-draft FILE
                        a small model that drafts for the large one, --draft N tokens at once
  --spec-type TYPE      draft without a second model, from what the text repeats: ngram-mod and others
  -c, --ctx-size N      context in tokens, 8k is 8192; 0: all the model has
  --mlock               keep the weights in memory
  --no-mmap, --mmap     read the weights, or map them

Text:
  -p, --prompt TEXT     the text to continue
  -f, --file FILE       the same, from a file
  -e, --escape          interpret \n, \t and other escape sequences of C in prompts
  -n, --predict N       at most N tokens
  --context-shift       continue when the context is full, without the older half of the text
  -r, --reverse-prompt TEXT
                        stop where the model writes TEXT; may be given again
  --image FILE          an image that the prompt is about
  --no-display-prompt   print the generated text without the prompt
  --prompt-cache FILE   keep the processed prompt in FILE, for the next time
  --prompt-cache-ro     use that file, do not change it
  --random-prompt       begin with "Once upon a time"
  --temp X              sampling temperature; 0 always takes the likeliest token
  -s, --seed N          the same seed gives the same text
  --grammar TEXT        generate only text that this grammar allows
  --grammar-file FILE   the same, from a file
  --color, -co [on|off|auto]
                        tell prompt and text apart by colour

Server:
  --host HOST           address to listen on (default: 127.0.0.1)
  --port N              port to listen on (default: 8080, or one of the ten that follow)
  --listen, -l HOST:PORT
                        both
  --api-prefix PATH     where the server's paths begin
  --path DIR            serve the pages in DIR
  --api-key KEY         demand this key
  --allow-origin ORIGIN
                        let web pages of ORIGIN use the server, such as https://app.example, or *
  -np, --parallel, --slots N
                        how many requests to answer at once
  --shutdown-seconds N  after a signal to end, finish running answers for N seconds (default: 25)
  --no-slots            do not show the requests in progress
  --models-dir DIR      serve all models in DIR, each by its name
  --models-preset FILE  serve the models listed in FILE
  --models-max N        keep at most N of several models loaded (default: 4)
  --models-memory N     keep loaded models within N MiB
  --cache-disk N        keep the computed states of system prompts for the next start, in at most N MiB of files
                        below ~/.cache/llamafile/prompts or the like (default: 2048; 0: none)
  --sleep-idle-seconds N
                        give up the memory of a model that was idle so long
  -spf, -sysf, --system-prompt-file FILE
                        a system prompt, for the chat and for the server's page
  --nobrowser           do not open a web browser

Machine:
  -t, --threads N       threads to compute with
  --gpu WHICH           auto, nvidia, amd, intel, apple, vulkan (any device), or disable
  -ngl, --n-gpu-layers, --gpu-layers N
                        how many layers the GPU computes
  -ngld, --n-gpu-layers-draft, --gpu-layers-draft, --spec-draft-ngl N
                        the same, of the model that drafts
  -sm, --split-mode, -ts, --tensor-split, -mg, --main-gpu VALUE
                        how several GPUs share the work
  --rpc HOST:PORT,…     let other hosts compute a part of the model: llamafile-rpc-server runs there
  --rpc-wait N          wait up to N seconds until they are there
  -fa, --flash-attn [on|off|auto]
                        another way to compute attention
  --memory-f32          keep keys and values in 32 bits
  --numa [HOW]          distribute, isolate or numactl
  --unsecure            no sandbox
  --unsealed            let configuration files, variables and downloads count, although a model is in this file
  --log-disable         say nothing
  -v, --verbose         say what the engine does

  --version             print the version and exit
  --gpu-info, --gpu-info-json
                        print the GPUs of this machine, and which would be used, and exit
  -h, -help, --help, --usage
                        print this text and exit
  --help-engine         print all options of the engine and exit; they can be given as well

Arguments in the archive member .args, one a line, come before those of the command line,
or around them where it has a line of three dots. In long options, _ is the same as -.
)";

void print_line(const Flag &flag, const std::string &text) {
    std::printf("  %-34s  %s\n", join(flag.names, ", ").c_str(), text.c_str());
}

void print_old_flags() {
    std::puts("\nOf older llamafiles, other names:");
    for (const Flag &flag : all_flags()) {
        if (flag.is_other_name()) {
            print_line(flag, flag.engine);
        }
    }
    std::puts("\nOf older llamafiles, accepted without effect:");
    for (const Flag &flag : all_flags()) {
        if (!flag.note.empty()) {
            print_line(flag, flag.note);
        }
    }
}

} // namespace

void print_usage() {
    std::fputs(SYNOPSIS, stdout);
    std::fputs(OPTIONS, stdout);
    print_old_flags();
}

void explain_missing_model(const std::string &argument0) {
    const char *name = argument0.c_str();
    std::fprintf(stderr,
                 "llamafile: this program has no model in it\n"
                 "\n"
                 "Download one, a file whose name ends in .gguf, and serve it, or continue a text with it:\n"
                 "\n"
                 "    %s -m model.gguf\n"
                 "    %s -m model.gguf -p \"Once upon a time\"\n"
                 "\n"
                 "Or put it into a copy of this program, which needs nothing else then:\n"
                 "\n"
                 "    cp %s model.llamafile\n"
                 "    zipalign -j0 model.llamafile model.gguf\n"
                 "    ./model.llamafile\n"
                 "\n"
                 "%s --help lists the options.\n",
                 name, name, name, name);
}
