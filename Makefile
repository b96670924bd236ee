# A thin front: CMake builds, ctest tests, pip installs. `make help` lists the targets.
PYTHON ?= python3
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
DEVICE ?= host

venv := .venv
python := $(venv)/bin/python
stage := build/stage
binding := $(venv)/.nvcv-cached
version := $(shell awk '/^project/ {print $$3}' CMakeLists.txt)
headers := $(wildcard client/include/nvcv_cached/*.h)
binding_sources := $(shell find python_client -type f -not -path '*/__pycache__/*')

.PHONY: help demo test test-long build docs bench gpu-bundle mutants wheel deb image install format lint lock stubs clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo       4 processes on real photographs; results in demo-out/'
	@echo 'make test       every test, under one ctest'
	@echo 'make test-long  the long runs too: millions of steps, thousands of kills'
	@echo 'make test-systemd  as root: the packages on a Debian 12 of their own, under a real systemd'
	@echo 'make build      build/bin/nvcv-cached, build/bin/nvcv-cachectl, the Python package in .venv'
	@echo 'make docs       the API references of C++ (Doxygen) and Python (pdoc), in build/docs/'
	@echo 'make bench      the benchmarks against their budgets, DEVICE=cuda:0 for those of a GPU; JSON in bench-out/'
	@echo 'make gpu-bundle an archive with the GPU tests and benchmarks, for a machine with a GPU'
	@echo 'make wheel      dist/*.whl, the Python package with everything that it needs'
	@echo 'make deb        dist/*.deb: nvcv-cached, libnvcv-cached0, libnvcv-cached-dev'
	@echo 'make image      the container image nvcv-cached, by podman or docker'
	@echo 'make mutants    breaks each rule on purpose; the test of its name must see it'
	@echo 'make install    programs, library and headers into PREFIX ($(PREFIX)); DESTDIR is honoured'
	@echo 'make format     clang-format and ruff rewrite the sources'
	@echo 'make lint       clang-format, clang-tidy (if installed), ruff, mypy; changes nothing'
	@echo 'make lock       renews requirements*.txt from requirements*.in; the only target that chooses versions'
	@echo 'variables: PYTHON=$(PYTHON) PREFIX=$(PREFIX) JOBS=$(JOBS) DEVICE=$(DEVICE) YES=1 (install packages without asking)'

# --- set-up: what the system lacks, then .venv from the lock files. A second run needs no network.

.PHONY: packages
packages:
	@YES='$(YES)' deploy/setup/install-packages

$(venv)/.build: requirements.txt | packages
	test -x $(python) || $(PYTHON) -m venv $(venv)
	$(python) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

.PHONY: test-packages
test-packages:
	@YES='$(YES)' deploy/setup/install-packages test
	@YES='$(YES)' deploy/setup/install-packages docs

$(venv)/.test: requirements-test.txt $(venv)/.build | test-packages
	$(python) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-test.txt
	@touch $@

# --- build: the programs, an install tree, and the extension built against that tree alone.

.PHONY: programs
programs: $(venv)/.build
	@test -f build/build.ninja || cmake --preset release -DNVCV_CACHED_PYTHON=$(CURDIR)/$(python)
	@cmake --build build --parallel $(JOBS) --target nvcv-cached nvcv-cachectl nvcv_cached demo_worker
	@cmake --install build --prefix $(stage) >build/install.log || { cat build/install.log; exit 1; }

$(binding): $(binding_sources) $(headers) $(venv)/.build | programs
	CMAKE_PREFIX_PATH=$(CURDIR)/$(stage) CMAKE_BUILD_PARALLEL_LEVEL=$(JOBS) $(python) -m pip install --quiet \
	  --disable-pip-version-check --no-build-isolation --no-deps --no-index --force-reinstall \
	  --config-settings=build-dir=$(CURDIR)/build/python --config-settings=cmake.define.NVCV_CACHED_CONTENT= ./python_client
	@touch $@

build: programs $(binding)

# The other half of the compiling, which a demo need not wait for.
.PHONY: test-programs
test-programs: build
	@cmake --build build --parallel $(JOBS)

stubs: build
	$(python) python_client/stubs.py

test: test-programs $(venv)/.test
	ctest --test-dir build --output-on-failure --parallel $(JOBS)

test-long: test-programs $(venv)/.test
	NVCV_CACHED_LONG=1 ctest --test-dir build --output-on-failure --parallel $(JOBS)

# About six minutes, and five more for the machine when it is made.
.PHONY: test-systemd
test-systemd: programs
	@cmake --build build --parallel $(JOBS) --target e2e_probe fake_cuda
	tests/service/real_systemd/run build

docs: $(venv)/.build
	@YES='$(YES)' deploy/setup/install-packages docs
	$(python) docs/reference/build.py build/docs

demo: build
	$(python) examples/demo --out demo-out

bench: build
	cmake -S . -B build -DNVCV_CACHED_BENCH=ON >/dev/null
	cmake --build build --parallel $(JOBS)
	$(python) bench/run.py --device $(DEVICE)

# An archive that runs the GPU's tests on a machine without this build: tar xf it there, then bundle/run-tests.
gpu-bundle: programs
	cmake -S . -B build -DNVCV_CACHED_BENCH=ON >/dev/null
	cmake --build build --parallel $(JOBS)
	$(python) deploy/gpu_bundle/make_bundle.py --build build --out build/nvcv-cached-gpu.tar.gz

# What a release consists of, in dist/.
wheel: programs
	$(python) deploy/wheel/make_wheel.py --build build --out dist

deb: programs
	cpack -G DEB --config build/CPackConfig.cmake -B build/packages
	@mkdir -p dist && cp build/packages/*.deb dist/ && rm -r build/packages

image:
	@engine=$$(command -v podman || command -v docker) || \
	  { echo 'make image: neither podman nor docker is here; do: install one of them' >&2; exit 2; }; \
	"$$engine" build -f deploy/image/Containerfile -t nvcv-cached:$(version) .

mutants: build
	$(python) tests/mutants/run.py

install: programs
	cmake --install build --prefix $(PREFIX)
	@test -n '$(DESTDIR)' || test "$$(id -u)" -ne 0 || ldconfig  # else /usr/local/lib is not looked into

# --- the house style

cxx := $(shell git ls-files '*.cc' '*.h' 2>/dev/null)

format: $(venv)/.build
	$(venv)/bin/clang-format -i $(cxx)
	$(venv)/bin/ruff format .
	$(venv)/bin/ruff check --fix .

# clang-tidy goes over what changed since it was clean; it needs the tree built, to know what includes what.
# The C++ of tests, on demand: cmake/clang_tidy.py build tests.
lint: test-programs
	$(venv)/bin/clang-format --dry-run -Werror $(cxx)
	$(venv)/bin/ruff format --check .
	$(venv)/bin/ruff check .
	$(venv)/bin/mypy
	@if command -v clang-tidy >/dev/null; then $(python) cmake/clang_tidy.py build server client proto examples --jobs $(JOBS); \
	 else echo 'clang-tidy is not installed: skipped; do: apt-get install clang-tidy' >&2; fi

lock:
	$(PYTHON) -m venv build/uv && build/uv/bin/pip install --quiet uv
	build/uv/bin/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes -q requirements.in -o requirements.txt
	build/uv/bin/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes -q requirements-test.in -o requirements-test.txt

clean:
	rm -rf build $(venv) demo-out bench-out
