#!/bin/sh
# Runs a command in a new, bare Debian 12 with FOLDER at /packages; its mounts go with this mount namespace.
# usage: unshare --mount bare_debian.sh ROOT MIRROR FOLDER COMMAND...
set -eu
folder=$1 mirror=$2 packages=$3
shift 3
debootstrap --variant=minbase bookworm "$folder" "$mirror"
mkdir "$folder/packages"
mount --bind "$packages" "$folder/packages"
mountpoint -q "$folder/proc" || mount -t proc proc "$folder/proc"
mount --rbind /dev "$folder/dev"
chroot "$folder" "$@"
