#!/bin/sh
# Shows that the model checker finds one seeded bug.
#
#   check_bug.sh SOURCE_ROOT SCRATCH PATCH COMPILE...
#
# Copies the protocol and the checker to SCRATCH, applies PATCH there, compiles with the command COMPILE and
# runs every short configuration until one breaks a rule. Exit code 0: one did; the output has the states
# explored and the shortest trace. A patch that no longer applies or compiles fails: it has to follow the code.
set -eu
root=$1 scratch=$2 patch=$3
shift 3

rm -rf "$scratch"
mkdir -p "$scratch/proto" "$scratch/client/src" "$scratch/tests/model"
cp "$root/proto/lease_table.h" "$scratch/proto/"
cp "$root/client/src/timelines.h" "$scratch/client/src/"
cp "$root"/tests/model/*.h "$root/tests/model/checker.cc" "$scratch/tests/model/"
cd "$scratch"
patch --strip=1 --silent --no-backup-if-mismatch <"$patch"
"$@" -std=c++20 -O1 -w -I. tests/model/checker.cc -o checker

sed '/^--- /,$d' "$patch"
status=0
NVCV_CACHED_LONG='' ./checker || status=$?
if [ $status -ne 1 ]; then
  echo "NOT FOUND: the checker ended with $status on the protocol with this bug in it"
  exit 1
fi
