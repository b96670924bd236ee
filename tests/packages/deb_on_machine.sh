#!/bin/sh
# Installs the packages on the machine that it finds itself on, uses and removes them. Run it under overlay.sh.
# usage: deb_on_machine.sh MAIN_CC PACKAGE...
set -eux
main=$1 && shift
cd /tmp
unset XDG_RUNTIME_DIR || true
export NVCV_CACHED_DEVICE=host LC_ALL=C.UTF-8
dpkg --install "$@"

# The service's user and directory, as a machine with systemd has them after the next boot; no unit is enabled.
getent passwd nvcv
getent group nvcv
systemd-tmpfiles --create nvcv-cached.conf
test "$(stat -c %U /run/nvcv-cached)" = nvcv
test -z "$(find /etc/systemd -name 'nvcv-cached*')"

# The daemon as the service runs it, and a look at it.
setpriv --reuid nvcv --regid nvcv --init-groups nvcv-cached --system --device host &
daemon=$!
tries=0
until nvcv-cachectl ping; do
  tries=$((tries + 1))
  test $tries -lt 100
  kill -0 $daemon
  sleep 0.1
done
nvcv-cachectl status

# A program that knows the default paths alone.
c++ -std=c++17 "$main" -o program $(pkg-config --cflags --libs nvcv_cached)
./program | grep -F '999 hits, 6220800 bytes cached'
printf 'cmake_minimum_required(VERSION 3.16)\nproject(user CXX)\nfind_package(nvcv_cached CONFIG REQUIRED)\n' > CMakeLists.txt
printf 'add_executable(user %s)\ntarget_link_libraries(user nvcv_cached::nvcv_cached)\n' "$main" >> CMakeLists.txt
printf 'set_target_properties(user PROPERTIES CXX_STANDARD 17)\n' >> CMakeLists.txt
cmake -B made . && cmake --build made
made/user | grep -F '999 hits'

kill $daemon
wait $daemon
mkdir -p /etc/nvcv-cached && touch /etc/nvcv-cached/nvcv-cached.toml
dpkg --remove libnvcv-cached-dev libnvcv-cached0 nvcv-cached
if command -v nvcv-cached; then exit 1; fi
test -z "$(find /usr -xdev -path /usr/src -prune -o -name '*nvcv*cached*' -print)"
test -e /etc/nvcv-cached/nvcv-cached.toml
dpkg --purge nvcv-cached
test ! -e /etc/nvcv-cached
getent passwd nvcv  # files may be his
echo removed
