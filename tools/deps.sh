#!/bin/sh
# Installs the Debian packages that building, testing and using SkuaFS needs; --quick says nothing when all are there.
set -eu
packages="make git pkg-config python3 clang-19 lld-19 clang-format-19 clang-tidy-19 libclang-rt-19-dev librocksdb-dev liburing-dev
libfuse3-dev fuse3 libisal-dev libssl-dev libxxhash-dev nlohmann-json3-dev libspdlog-dev libfmt-dev libcli11-dev libgtest-dev
libbenchmark-dev librapidcheck-dev libjemalloc-dev libcpp-httplib-dev ccache spin sqlite3 rsync attr psmisc"
stamp="build/.deps-ok"
here=$(cksum < "$0")
if [ "${1:-}" = --quick ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$here" ]; then exit 0; fi
missing=""
for p in $packages; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null || true)" = installed ] || missing="$missing $p"
done
if [ -n "$missing" ]; then
    echo "installing what is missing:$missing"
    if [ "$(id -u)" = 0 ]; then as_root=""
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root="sudo"
    else
        echo "not root and no password-less sudo: please run" >&2
        echo "  sudo apt-get install -y --no-install-recommends$missing" >&2
        exit 1
    fi
    $as_root apt-get update -q
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -q --no-install-recommends $missing
fi
mkdir -p build
echo "$here" > "$stamp"
