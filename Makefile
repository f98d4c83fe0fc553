# `make demo` shows the product, `make test` runs all tests, `make help` lists all targets.

PYTHON ?= python3
# The platforms in build/llamafile, of those that `llamafile-build --list` prints; `all` takes some 5 minutes each.
PLATFORMS ?= host
# An option of llamafile-build: --no-gpu leaves out the part for GPUs, --cached-gpu includes it if it is in the cache.
GPU ?=

# Folders of `make install`: names and defaults of the GNU Coding Standards, and PREFIX as another name of prefix.
PREFIX ?= /usr/local
prefix = $(PREFIX)
exec_prefix = $(prefix)
bindir = $(exec_prefix)/bin
libdir = $(exec_prefix)/lib
datarootdir = $(prefix)/share
mandir = $(datarootdir)/man
INSTALL ?= install
INSTALL_PROGRAM = $(INSTALL)
INSTALL_DATA = $(INSTALL) -m 644

# The installed programs. llamafile-build is not one: it needs the sources and .venv with half a gigabyte of compilers.
COMPANIONS := server quantize perplexity imatrix tokenize bench rpc-server
COMMANDS := apepack assimilate zipalign
PROGRAMS := llamafile $(COMPANIONS:%=llamafile-%) $(COMMANDS)
MAN1 := $(PROGRAMS:%=man/man1/%.1) $(wildcard man/man1/apepack-*.1)
MAN5 := $(wildcard man/man5/*.5)
# The Python modules of the commands: our packages, and the packages of .venv that these import.
toolchaindir = $(libdir)/llamafile-toolchain
PACKAGES := zipalign apepack assimilate runtime
IMPORTED := llamafile_toolchain click tqdm
# Extension modules for the version of Python in .venv, and loaded only by that version. They are optional.
COMPILED := isal lief zipfile_deflate64
define LAUNCHER
#!$(INSTALLED_PYTHON) -IS
import sys
folder = "$(toolchaindir)"
sys.path[:0] = [folder, f"{folder}/{sys.implementation.cache_tag}"]
from COMMAND.cli import main
main()
endef

BIN := .venv/bin
# Modules are compiled when they are first imported, most of them never.
PIP := $(PYTHON) -m pip --disable-pip-version-check --python $(BIN)/python install --quiet --no-compile
PROMPT := The capital of France is
PDFS := $(patsubst %,build/man/%.pdf,$(notdir $(wildcard man/man?/*.?)))
vpath %.1 man/man1
vpath %.5 man/man5

# $(call needs,COMMAND,SENTENCE) stops with the sentence unless the command succeeds.
needs = $(1) >/dev/null 2>&1 || { echo "make: $(2)" >&2; exit 1; }
IS_RECENT := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON_NEEDED := this needs Python 3.11 or later, and $(PYTHON) is not; PYTHON=/path/to/python3 names another

.PHONY: all demo demo-model test quick check check-python check-native check-workflows docs format constraints bench \
    bench-smoke install uninstall release pdf clean help FORCE
# One recipe at a time: compilers, linkers and tests use all cores by themselves.
.NOTPARALLEL:
.DELETE_ON_ERROR:
all: build/llamafile

help:
	@echo "Build:"
	@echo "  make              builds build/llamafile, the runtime without weights"
	@echo "  make demo         packs a real model into one file and runs it"
	@echo "  make docs         builds the documentation as a site in build/site"
	@echo "  make pdf          builds the manuals for printing in build/man"
	@echo "  make release      builds the files of a release in dist, for all platforms; an hour and a half"
	@echo
	@echo "Install:"
	@echo "  make install      installs the built files under PREFIX (/usr/local), below DESTDIR; needs no network"
	@echo "  make uninstall    removes the installed files"
	@echo
	@echo "Develop:"
	@echo "  make quick        checks Python and runs the tests that need nothing compiled; less than a minute"
	@echo "  make check        checks style and types, C++ with clang-tidy, and the workflows of GitHub"
	@echo "  make test         runs make check and all tests"
	@echo "  make format       rewrites the sources in house style"
	@echo "  make bench        compares a llamafile with native builds and writes benchmarks/*.md; two and a half hours"
	@echo "  make bench-smoke  prints the main ratios and writes nothing; three minutes"
	@echo "  make constraints  resolves the dependencies in pyproject.toml again; needs uv"
	@echo "  make clean        removes build, dist and .venv; the cache in ~/.cache/llamafile-toolchain stays"
	@echo
	@echo "Variables:"
	@echo "  PLATFORMS='A B'   platforms to build for; llamafile-build --list prints them, and all means all of them"
	@echo "  GPU=--no-gpu      leaves out the part for GPUs, which takes some 6 minutes"
	@echo "  PYTHON=PATH       the Python for .venv and for the installed commands"

# Without ensurepip, so that Debian's python3 is enough; the system's pip fills the environment.
.venv/ready: constraints.txt constraints-deflate64.txt pyproject.toml runtime/__init__.py
	@$(call needs,$(PYTHON) -c '$(IS_RECENT)',$(PYTHON_NEEDED))
	@$(call needs,$(PYTHON) -m pip --version,this needs pip for $(PYTHON) (Debian package python3-pip))
	@echo "setting up .venv (downloads about 160 MB)"
	@$(PYTHON) -m venv --without-pip .venv
	@$(PIP) --require-hashes --no-deps -r constraints.txt || \
	{ echo "make: pip did not install the packages in constraints.txt, for the reason above; run make again" >&2; \
	    exit 1; }
	@$(PIP) --require-hashes --no-deps -r constraints-deflate64.txt 2>/dev/null || \
	{ echo "note: zipalign --import will not read deflate64: pip did not install zipfile-deflate64, which needs a C" \
	    "compiler and Python headers"; [ -z "$$CI" ] || $(PYTHON) -m tools.lost_inputs zipfile-deflate64; }
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# Packages that checks and tests need, so that `make` and `make demo` do not install them.
.venv/developed: .venv/ready constraints-dev.txt
	@echo "adding the packages for checks and tests to .venv (downloads about 90 MB)"
	@$(PIP) --require-hashes --no-deps -r constraints-dev.txt
	@touch $@

# These commands look into the cache and build only if it has nothing.
build/llamafile: .venv/ready FORCE
	@mkdir -p build/loaders
	@for name in linux-amd64 linux-arm64; do $(BIN)/apepack --loader $$name -o build/loaders/$$name || exit; done
	@programs=$$($(BIN)/llamafile-build $(GPU) $(PLATFORMS)) && $(BIN)/apepack --quiet -o $@ $$programs

build/smollm2.llamafile: build/llamafile
	@model=$$($(BIN)/llamafile-build --demo-model) && $(BIN)/apepack --quiet -o $@ --runtime build/llamafile "$$model"

# The model is downloaded while the runtime is compiled; the recipe that needs it waits, and says what goes wrong.
demo-model: .venv/ready
	@$(BIN)/llamafile-build --demo-model >/dev/null 2>&1 &

demo: GPU = --cached-gpu
demo: demo-model build/smollm2.llamafile
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
	@platforms=host; \
	if command -v qemu-aarch64-static >/dev/null; then platforms="$$platforms linux-arm64"; fi; \
	if PATH="$$PATH:/usr/lib/wine" command -v wine64 >/dev/null; then platforms="$$platforms windows-amd64"; fi; \
	gpu=$$($(BIN)/python -m tools.gpu_inputs) && $(BIN)/llamafile-build $$gpu $$platforms >/dev/null
	@$(BIN)/pytest $(PARALLEL)

# A process for each core runs its share of the tests in their order, and helps the others when it has finished.
PARALLEL := --numprocesses auto --dist worksteal
# Tests start Python thousands of times: build/bytecode keeps its compiled modules, also where the environment says no.
test quick: export PYTHONDONTWRITEBYTECODE :=
test quick: export PYTHONPYCACHEPREFIX := $(CURDIR)/build/bytecode
# tests/needs.py sets the marks.
quick: check-python
	@$(BIN)/pytest --quiet $(PARALLEL) -m "not (needs_runtime or needs_compiler or slow)"

check: check-python check-native check-workflows

check-python: .venv/developed
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check
	@$(BIN)/mypy --no-error-summary
	@mkdir -p build
	@$(BIN)/lint-imports --no-cache >build/imports.txt || { cat build/imports.txt; exit 1; }

check-native: .venv/developed
	@$(BIN)/python -m tools.native_check

check-workflows: .venv/developed
	@$(BIN)/actionlint
	@mkdir -p build
	@$(BIN)/zizmor --quiet --offline --strict-collection .github action.yml >build/workflows.txt || \
	    { cat build/workflows.txt; exit 1; }

# The site generator has its own environment, so that `make` does not install it.
build/docs-venv/ready: constraints-docs.txt
	@$(call needs,$(PYTHON) -c '$(IS_RECENT)',$(PYTHON_NEEDED))
	@$(PYTHON) -m venv --without-pip build/docs-venv
	@$(PYTHON) -m pip --disable-pip-version-check --python build/docs-venv/bin/python install --quiet \
	    --require-hashes --no-deps -r constraints-docs.txt
	@touch $@

docs: build/docs-venv/ready
	@$(call needs,command -v mandoc,make docs needs mandoc (Debian package mandoc))
	@$(PYTHON) tools/doc_site.py build/site-source
	@build/docs-venv/bin/zensical build --strict

format: .venv/developed
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format
	@$(BIN)/python -m tools.native_check --format

# Versions stay unless pyproject.toml excludes them; UV=--upgrade takes the newest. No index is named in the results.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
    --no-emit-index-url --no-emit-find-links --custom-compile-command "make constraints"
constraints:
	@$(call needs,command -v uv,make constraints needs uv (Python package uv))
	@$(LOCK) $(UV) pyproject.toml --extra build --extra fast --group dev --output-file constraints-dev.txt
	@$(LOCK) --constraint constraints-dev.txt pyproject.toml --extra build --extra fast --group install \
	    --output-file constraints.txt
	@$(LOCK) $(UV) --group docs --output-file constraints-docs.txt
	@$(LOCK) --constraint constraints-dev.txt pyproject.toml --extra sbom --group release \
	    --output-file constraints-release.txt

# Existing results of `make` are installed unchanged: under sudo, root's cache is empty, and make would compile again.
BUILT := .venv/ready build/loaders build/llamafile
installed = $(DESTDIR)$(toolchaindir)
of_venv = $(wildcard $(foreach name,$(1),$(SITE)/$(name) $(SITE)/$(name)-*.dist-info))
INSTALLED_PYTHON = $(shell $(PYTHON) -c 'import sys; print(sys._base_executable)' 2>/dev/null)
SITE = $(shell $(BIN)/python -c 'import sys; print(".venv/lib/python%d.%d/site-packages" % sys.version_info[:2])')
TAG = $(shell $(BIN)/python -c 'import sys; print(sys.implementation.cache_tag)')
install: export LAUNCHER_TEXT = $(LAUNCHER)
install: $(if $(filter-out $(wildcard $(BUILT)),$(BUILT)),build/llamafile)
	@$(call needs,$(PYTHON) -c '$(IS_RECENT)',$(PYTHON_NEEDED))
	@$(INSTALL) -d "$(DESTDIR)$(bindir)" "$(DESTDIR)$(libdir)" "$(DESTDIR)$(mandir)/man1" "$(DESTDIR)$(mandir)/man5"
	@$(INSTALL_PROGRAM) build/llamafile "$(DESTDIR)$(bindir)/llamafile"
	@for name in $(COMPANIONS); do ln -sf llamafile "$(DESTDIR)$(bindir)/llamafile-$$name" || exit; done
	@$(INSTALL_DATA) $(MAN1) "$(DESTDIR)$(mandir)/man1"
	@$(INSTALL_DATA) $(MAN5) "$(DESTDIR)$(mandir)/man5"
	@rm -rf "$(installed)"
	@mkdir -p "$(installed)/$(TAG)" "$(installed)/installed"
	@ln -s "$(bindir)/llamafile" "$(installed)/installed/llamafile"
	@cp -R build/loaders "$(installed)/installed"
	@find $(PACKAGES) \( -name '*.py' -o -name '*.schema.json' \) -exec cp --parents -t "$(installed)" {} +
	@cp -R $(call of_venv,$(IMPORTED)) "$(installed)"
	@cp -R $(call of_venv,$(COMPILED)) "$(installed)/$(TAG)"
	@find "$(installed)" -depth \( -name __pycache__ -o -name '*.pyi' -o -path '*.dist-info/*' ! -name METADATA \
	    ! -path '*/licenses*' \) -exec rm -rf {} +
	@$(INSTALLED_PYTHON) -IS -m compileall -q -d "$(toolchaindir)" "$(installed)"
	@find "$(installed)" -type d -exec chmod 755 {} + -o -type f -exec chmod 644 {} +
	@for name in $(COMMANDS); do \
	    file="$(DESTDIR)$(bindir)/$$name" && rm -f "$$file" && \
	    printf '%s\n' "$$LAUNCHER_TEXT" | sed "s/COMMAND/$$name/" >"$$file" && chmod 755 "$$file" || exit; \
	done

uninstall:
	@for name in $(PROGRAMS); do rm -f "$(DESTDIR)$(bindir)/$$name"; done
	@for name in $(notdir $(MAN1)); do rm -f "$(DESTDIR)$(mandir)/man1/$$name"; done
	@for name in $(notdir $(MAN5)); do rm -f "$(DESTDIR)$(mandir)/man5/$$name"; done
	@rm -rf "$(DESTDIR)$(toolchaindir)"

# What .github/workflows/release.yml makes of a tag. Checks, and the new wheels, are in an environment of their own.
RELEASE := build/release
CHECKS := build/release-venv/bin
RELEASE_PIP := $(PYTHON) -m pip --disable-pip-version-check --python $(CHECKS)/python install --quiet --no-deps
build/release-venv/ready: constraints-release.txt
	@$(call needs,$(PYTHON) -c '$(IS_RECENT)',$(PYTHON_NEEDED))
	@$(PYTHON) -m venv --without-pip build/release-venv
	@$(RELEASE_PIP) --require-hashes -r constraints-release.txt
	@touch $@

release: PLATFORMS = all
release: .venv/ready build/release-venv/ready
	@rm -rf $(RELEASE) && mkdir -p $(RELEASE)
	@$(BIN)/python -m hatchling build --directory $(RELEASE) >build/release.log 2>&1 || { cat build/release.log; exit 1; }
	@$(BIN)/llamafile-build $(GPU) --wheel $(RELEASE) $(PLATFORMS) >/dev/null
	@programs=$$($(BIN)/llamafile-build $(GPU) $(PLATFORMS)) && \
	    $(BIN)/apepack --quiet -o $(RELEASE)/llamafile $$programs
	@$(RELEASE_PIP) --no-index --force-reinstall $(RELEASE)/*.whl
	@$(CHECKS)/apepack sbom $(RELEASE)/llamafile -o $(RELEASE)/llamafile.cdx.json
	@$(CHECKS)/twine --no-color check --strict $(RELEASE)/*.whl $(RELEASE)/*.tar.gz
	@$(CHECKS)/check-wheel-contents $(RELEASE)/llamafile_toolchain-*.whl
	@$(CHECKS)/check-wheel-contents --no-config --toplevel llamafile_runtime --ignore W002 \
	    $(RELEASE)/llamafile_runtime-*.whl
	@cd $(RELEASE) && sha256sum -- * >SHA256SUMS
	@rm -rf dist && mv $(RELEASE) dist
	@cat dist/SHA256SUMS

pdf: $(PDFS)
build/man/%.pdf: %
	@$(call needs,command -v mandoc,make pdf needs mandoc (Debian package mandoc))
	@mkdir -p $(@D)
	@mandoc -T pdf $< >$@

# Needs gcc or clang. Half of the first run compiles the engines that the runtime is compared with.
BENCHMARKS := zipalign upgrade verify start speed busy first_token prompt_cache server speculative long_context replicas \
    scaling portable
bench: build/llamafile
	@for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.bench_$$name || exit; done
	@$(BIN)/python -m benchmarks.regressions

bench-smoke: build/llamafile
	@$(BIN)/python -m benchmarks.bench_smoke

clean:
	@rm -rf build dist .venv
