#!/bin/sh
# Installs the build tree, moves the install tree, and has it consumed there. usage: moved.sh BUILD_DIR WORK_DIR CXX
set -eu
build=$1 work=$2 cxx=$3
rm -rf "$work" && mkdir -p "$work"
cmake --install "$build" --prefix "$work/first" > "$work/install.log"
mv "$work/first" "$work/moved"
exec "$(dirname "$0")/consume.sh" "$work/moved" "$work" "$cxx"
