#!/bin/sh
# Builds a consumer against an install tree, by find_package and by pkg-config, and runs it with the tree's daemon.
# usage: consume.sh PREFIX WORK_DIR CXX [CMAKE_FLAG that finds the package; else by its prefix]
set -eu
prefix=$1 work=$2 cxx=$3
cmake_flag=${4:--DCMAKE_PREFIX_PATH=$prefix}
here=$(cd "$(dirname "$0")" && pwd)
unset NVCV_CACHED_ADDRESS NVCV_CACHED_DAEMON || true
export NVCV_CACHED_DEVICE=host NVCV_CACHED_ADDRESS="$work/host.sock"

# With a daemon in the install tree the library starts that one; it leaves with the test.
daemon=$prefix/bin/nvcv-cached
if [ -x "$daemon" ]; then
  "$daemon" --device host --socket "$NVCV_CACHED_ADDRESS" > "$work/daemon.log" 2>&1 &
  daemon_pid=$!
  trap 'kill $daemon_pid 2>/dev/null || true' EXIT
  tries=0
  until [ -S "$NVCV_CACHED_ADDRESS" ]; do
    tries=$((tries + 1))
    if [ $tries -gt 100 ] || ! kill -0 $daemon_pid; then cat "$work/daemon.log"; exit 1; fi
    sleep 0.1
  done
  wanted='999 hits, 6220800 bytes cached'
else
  export NVCV_CACHED_AUTOSTART=0
  wanted='unavailable: no daemon for host at'
fi

check() {
  out=$("$@")
  echo "$1: $out"
  case $out in "$wanted"*) ;; *) echo "wanted: $wanted"; exit 1 ;; esac
}

cmake -S "$here/project" -B "$work/cmake" "$cmake_flag" -DCMAKE_CXX_COMPILER="$cxx" \
  -DCMAKE_BUILD_TYPE=Release > "$work/cmake.log"
cmake --build "$work/cmake" > "$work/cmake.log"
check "$work/cmake/consumer"
"$work/cmake/allocator" | grep -Eq '^(the same block|unavailable: .*)$' || { echo "the C header's program failed"; exit 1; }

pc=$(dirname "$(find "$prefix" -name nvcv_cached.pc)")
export PKG_CONFIG_PATH="$pc"
flags=$(pkg-config --cflags --libs nvcv_cached)
# shellcheck disable=SC2086 # flags are words
"$cxx" -std=c++17 -O2 "$here/project/main.cc" $flags -o "$work/by_pkg_config"
LD_LIBRARY_PATH="$(pkg-config --variable=libdir nvcv_cached)" check "$work/by_pkg_config"
