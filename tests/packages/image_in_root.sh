#!/bin/sh
# The image's second stage and what it is then used for. Run it under overlay.sh, or in a root of Debian's.
# usage: image_in_root.sh BUILD_STEPS FOLDER_OF_PACKAGES
set -eux
steps=$1 packages=$2
cd /
unset XDG_RUNTIME_DIR || true
"$steps" install "$packages"
test "$(id -u nvcv):$(id -g nvcv)" = 65532:65532
test "$(stat -c %u:%a /run/nvcv-cached)" = 65532:755
command -v sh install  # the manifests call them
if ldd /usr/bin/nvcv-cached | grep -iE 'cuda|nvidia|not found'; then exit 1; fi

as_image_user="setpriv --reuid 65532 --regid 65532 --clear-groups --inh-caps=-all --no-new-privs"
$as_image_user nvcv-cached --system --device host &
daemon=$!
tries=0
until $as_image_user nvcv-cachectl ping --all; do
  tries=$((tries + 1))
  test $tries -lt 100
  kill -0 $daemon
  sleep 0.1
done
$as_image_user nvcv-cachectl status
kill $daemon
wait $daemon
echo served
