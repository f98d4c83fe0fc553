# Everything starts here: `make demo` shows the product, `make test` proves it, `make help` lists the rest.

PYTHON ?= python3
# The platforms in build/llamafile, of those that `llamafile-build --list` prints; `all` takes some 5 minutes each.
PLATFORMS ?= host

BIN := .venv/bin
PIP := $(PYTHON) -m pip --disable-pip-version-check --python $(BIN)/python install --quiet
PROMPT := The capital of France is

.PHONY: all demo test check format bench clean help FORCE
all: build/llamafile

help:
	@echo "make                    build/llamafile: the runtime, without weights"
	@echo "make demo               pack a real model into one file and ask it something"
	@echo "make test               check style and types, run all tests"
	@echo "make check              style and types only"
	@echo "make format             rewrite the sources in house style"
	@echo "make clean              remove what was made here (the cache outside stays)"
	@echo "make bench              measure zipalign and the start of an APE, and write benchmarks/*.md"
	@echo "PLATFORMS='A B'         build for these platforms (llamafile-build --list), or for all"

# Without ensurepip, so that Debian's python3 is enough; the system's pip fills the environment.
.venv/ready: constraints.txt constraints-deflate64.txt pyproject.toml
	@echo "setting up .venv (downloads about 250 MB)"
	@$(PYTHON) -m venv --without-pip .venv
	@$(PIP) --require-hashes --no-deps -r constraints.txt
	@$(PIP) --require-hashes --no-deps -r constraints-deflate64.txt 2>/dev/null \
	|| echo "note: no C compiler and Python headers for zipfile-deflate64: zipalign --import will not read deflate64"
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# Always asked, never rebuilt for nothing: the commands look into their cache.
build/llamafile: .venv/ready FORCE
	@mkdir -p build
	@programs=$$($(BIN)/llamafile-build $(PLATFORMS)) && $(BIN)/apepack --quiet -o $@ $$programs

build/smollm2.llamafile: build/llamafile
	@model=$$($(BIN)/llamafile-build --demo-model) && $(BIN)/apepack --quiet -o $@ --runtime build/llamafile "$$model"

demo: build/smollm2.llamafile
	@echo
	@echo '$$ build/smollm2.llamafile -p "$(PROMPT)" -n 16 --temp 0'
	@build/smollm2.llamafile -p "$(PROMPT)" -n 16 --temp 0
	@echo
	@echo "That was one file: the program and its weights. Next:"
	@echo "  build/smollm2.llamafile                             a page to chat in, and the API, on port 8080"
	@echo '  build/smollm2.llamafile -p "Once upon a time" -n 50 ask something else'
	@echo "  $(BIN)/assimilate -o native build/smollm2.llamafile  make a plain executable of it"
	@echo "  $(BIN)/apepack -o my.llamafile YOUR.gguf             pack a model of your own"

test: check
	@$(BIN)/llamafile-build host >/dev/null
	@if command -v qemu-aarch64-static >/dev/null; then $(BIN)/llamafile-build linux-arm64 >/dev/null; fi
	@if PATH="$$PATH:/usr/lib/wine" command -v wine64 >/dev/null; then $(BIN)/llamafile-build windows-amd64 >/dev/null; fi
	@$(BIN)/pytest

check: .venv/ready
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check
	@$(BIN)/mypy --no-error-summary
	@mkdir -p build
	@$(BIN)/lint-imports --no-cache >build/imports.txt || { cat build/imports.txt; exit 1; }

format: .venv/ready
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format
	@clang-format -i runtime/shim/*.cpp runtime/shim/*.h runtime/recipe/*.h runtime/loader/*.c runtime/loader/*.h

bench: .venv/ready
	@$(BIN)/python -m benchmarks.bench_zipalign
	@$(BIN)/python -m benchmarks.bench_start

clean:
	@rm -rf build .venv
