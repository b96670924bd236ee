#!/bin/sh
# Runs a command as root on this machine, where all that it writes is gone when it ends: a mount namespace with an
# overlay over /, and a PID namespace that takes the processes along. usage: overlay.sh COMMAND...
set -eu
if [ -z "${OVERLAY_INSIDE:-}" ]; then
  OVERLAY_INSIDE=1 exec unshare --mount --pid --fork --kill-child "$0" "$@"
fi
unset OVERLAY_INSIDE
top=$(mktemp -d)
trap 'umount -l "$top"; rmdir "$top"' EXIT
mount -t tmpfs overlay "$top"
mkdir "$top/upper" "$top/work" "$top/merged"
mount -t overlay overlay -o "lowerdir=/,upperdir=$top/upper,workdir=$top/work" "$top/merged"
mount --rbind /dev "$top/merged/dev"
mount -t proc proc "$top/merged/proc"
mount -t tmpfs run "$top/merged/run"
chroot "$top/merged" "$@"
