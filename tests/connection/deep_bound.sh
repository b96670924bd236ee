#!/bin/sh
# Autostart out of a program that is not position independent and loads the library with RTLD_DEEPBIND, as Python does.
# usage: deep_bound.sh PROGRAM LIBRARY DAEMON
set -eu
XDG_RUNTIME_DIR=$(mktemp -d)
export XDG_RUNTIME_DIR NVCV_CACHED_DEVICE=host NVCV_CACHED_AUTOSTART=1 NVCV_CACHED_DAEMON="$3" NVCV_CACHED_TIMEOUT=30s
unset NVCV_CACHED_ADDRESS || true
stop() {
  kill "$(sed -n 's/^pid=//p' "$XDG_RUNTIME_DIR/nvcv-cached/host.sock.lock")" 2>/dev/null || true
  rm -rf "$XDG_RUNTIME_DIR"
}
trap stop EXIT
"$1" "$2"
