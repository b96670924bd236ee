#!/bin/sh
# libnvcv_cached.so defines nothing for others but the API: no generated message, no gRPC, no abseil, and no
# other name either. Its insides have their own copy of none of those that a process may load beside it.
set -eu
names=$(nm -D --defined-only "$1" | awk '{print $3}' | c++filt)
echo "$names" | grep -q '^nvcv_cached::Tensor::Tensor' || { echo "no Tensor in $1"; exit 1; }
for name in allocate free last_error; do
  echo "$names" | grep -qx "nvcv_cached_$name" || { echo "no nvcv_cached_$name in $1"; exit 1; }
done
bad=$(echo "$names" | grep -Ev '^((vtable|typeinfo( name)?) for )?nvcv_cached::[A-Za-z_]+|^nvcv_cached_(allocate|free|last_error)$' || true)
bad="$bad$(echo "$names" | grep -E 'nvcv_cached::(v1|client|lease_table)::|grpc|google|absl' |
  grep -Ev '^nvcv_cached::(Buffer|Stream|Tensor)::' || true)"
if [ -n "$bad" ]; then
  echo "exported, but no API:"
  echo "$bad"
  exit 1
fi
