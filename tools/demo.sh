#!/usr/bin/env bash
# make demo: a whole cluster on this machine, used, broken, measured and taken away again.
# DEMO_MIB=128 shrinks the big file. Without FUSE it does the CLI's part and says so.
set -euo pipefail
cd "$(dirname "$0")/.."
BUILD=${SKUA_BUILD:-build/release}
SKUA=$PWD/$BUILD/skua
MIB=${DEMO_MIB:-1024}
FREE_MIB=$(df -Pm "${TMPDIR:-/tmp}" | awk 'NR==2 {print $4}')
NEED_MIB=$((MIB * 7 + 1024))
if [ "$FREE_MIB" -lt "$NEED_MIB" ]; then
    echo "the demo needs $NEED_MIB MiB in ${TMPDIR:-/tmp}, there are $FREE_MIB: try DEMO_MIB=128 make demo, or TMPDIR=elsewhere" >&2
    exit 1
fi
WORK=$(mktemp -d "${TMPDIR:-/tmp}/skua-demo-XXXXXX")
export SKUA_CONFIG=$WORK/cluster/skua.conf
MNT=$WORK/mnt
phase_started=$SECONDS
say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
done_phase() { echo "   ($((SECONDS - phase_started)) s)"; phase_started=$SECONDS; }
cleanup() {
    trap - EXIT INT TERM
    if [ -d "$WORK/cluster" ]; then
        if mountpoint -q "$MNT" 2>/dev/null; then "$SKUA" umount "$MNT" || true; fi
        "$SKUA" cluster down --dir "$WORK/cluster" --force || true
    fi
    rm -rf "$WORK"
}
failed() { echo "demo failed at line $1; the logs' last lines:" >&2; tail -n 3 "$WORK"/cluster/logs/*.log 2>/dev/null >&2 || true; }
trap cleanup EXIT
trap 'failed $LINENO' ERR
trap 'exit 130' INT TERM

say "cluster up: 8 disks in 8 failure domains, 8 shards"
"$SKUA" cluster up --dir "$WORK/cluster" --disks 8 --shards 8
done_phase

MOUNT=yes
if [ ! -r /dev/fuse ] || [ ! -w /dev/fuse ]; then MOUNT=""; REASON="no usable /dev/fuse here (docker run --device /dev/fuse --cap-add SYS_ADMIN)"; fi
if [ -n "$MOUNT" ]; then
    say "mount"
    mkdir -p "$MNT"
    "$SKUA" mount "$MNT"
    done_phase
elif [ -n "${SKUA_REQUIRE_MOUNT:-}" ]; then
    echo "demo failed: $REASON" >&2
    exit 1
fi

mb_per_s() { python3 -c "import sys; print(f'{float(sys.argv[1]) * 1.048576 / max(float(sys.argv[2]), 1e-9):.0f}')" "$1" "$2"; }
timed() { local t0 t1; t0=$(date +%s.%N); "$@" >&2; t1=$(date +%s.%N); python3 -c "print($t1 - $t0)"; }

say "raw disk, for comparison"
RAW=$("$SKUA" bench disk "$WORK" --json)
RAW_W=$(echo "$RAW" | python3 -c 'import json,sys; print(round(json.load(sys.stdin)["write_mb_s"]))')
RAW_R=$(echo "$RAW" | python3 -c 'import json,sys; print(round(json.load(sys.stdin)["read_mb_s"]))')
echo "   write $RAW_W MB/s, read $RAW_R MB/s"
done_phase

say "/usr/include by the CLI, and back, compared byte for byte"
FILES=$(find /usr/include -type f | wc -l)
T_TREE=$(timed "$SKUA" cp -r /usr/include skua:/include)
"$SKUA" cp -r skua:/include "$WORK/back"
diff -r --no-dereference /usr/include "$WORK/back"
rm -rf "$WORK/back"
echo "   $FILES files are the same"
done_phase

say "a file of $MIB MiB by the CLI, and back"
head -c "$((MIB << 20))" /dev/urandom > "$WORK/big"
WANT=$(sha256sum < "$WORK/big")
T_IN=$(timed "$SKUA" cp "$WORK/big" skua:/big)
T_OUT=$(timed "$SKUA" cp skua:/big /dev/null)
[ "$("$SKUA" cat /big | sha256sum)" = "$WANT" ]
echo "   sha256 is the same"
done_phase

if [ -n "$MOUNT" ]; then
    say "the same through the mount"
    T_MTREE=$(timed cp -a /usr/include "$MNT/include-by-mount")
    diff -r --no-dereference /usr/include "$MNT/include-by-mount"
    T_MIN=$(timed dd if="$WORK/big" of="$MNT/big-by-mount" bs=1M conv=fsync status=none)
    T_MOUT=$(timed dd if="$MNT/big" of=/dev/null bs=1M status=none)
    cmp "$WORK/big" "$MNT/big-by-mount"
    echo "   every byte is the same"
    done_phase
fi

say "status, df, tree"
"$SKUA" status
"$SKUA" df
"$SKUA" tree --depth 1 / | head -n 20
done_phase

say "kill -9 of two block services, then read everything again"
"$SKUA" cluster kill --dir "$WORK/cluster" blocks-1
"$SKUA" cluster kill --dir "$WORK/cluster" blocks-4
T_DEGRADED=$(timed "$SKUA" cp skua:/big "$WORK/degraded")
[ "$(sha256sum < "$WORK/degraded")" = "$WANT" ]
rm -f "$WORK/degraded"
"$SKUA" cp -r skua:/include "$WORK/back"
diff -r --no-dereference /usr/include "$WORK/back"
rm -rf "$WORK/back"
if [ -n "$MOUNT" ]; then cmp "$WORK/big" "$MNT/big-by-mount"; fi
echo "   every byte is there with two of eight disks gone"
"$SKUA" cluster start --dir "$WORK/cluster" blocks-1
"$SKUA" cluster start --dir "$WORK/cluster" blocks-4
done_phase

say "delete a tree, and undelete it"
"$SKUA" rm -r /include
if "$SKUA" ls /include 2>/dev/null; then echo "it is still there" >&2; exit 1; fi
"$SKUA" undelete -r /include
"$SKUA" cp -r skua:/include "$WORK/back"
diff -r --no-dereference /usr/include "$WORK/back"
rm -rf "$WORK/back"
echo "   all $FILES files are back"
done_phase

say "figures"
row() { printf '   %-42s %10s %10s\n' "$@"; }
row "" "MB/s" "files/s"
row "raw disk, write / read" "$RAW_W / $RAW_R" ""
row "skua cp in" "$(mb_per_s "$MIB" "$T_IN")" ""
row "skua cp out" "$(mb_per_s "$MIB" "$T_OUT")" ""
row "skua cp out, two disks gone" "$(mb_per_s "$MIB" "$T_DEGRADED")" ""
row "skua cp -r /usr/include in" "" "$(python3 -c "print(round($FILES / $T_TREE))")"
if [ -n "$MOUNT" ]; then
    row "mount: dd in with fsync" "$(mb_per_s "$MIB" "$T_MIN")" ""
    row "mount: dd out" "$(mb_per_s "$MIB" "$T_MOUT")" ""
    row "mount: cp -a /usr/include in" "" "$(python3 -c "print(round($FILES / $T_MTREE))")"
fi

say "take all down"
cleanup
done_phase
if [ -n "$MOUNT" ]; then echo "demo passed in $SECONDS s"; else echo "demo passed, mount skipped: $REASON"; fi
