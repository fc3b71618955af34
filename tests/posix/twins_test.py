#!/usr/bin/env python3
"""A mount answers random operations as a local file system does, by both transports, and after mounting again.

SKUA_SEED=n starts with that seed, SKUA_OPERATIONS=n is how many in a round (what differs says its seed).
"""
import os, shutil, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import LONG, Cluster, main, promise, require_mount
from twins import Twins

SEED = int(os.environ.get("SKUA_SEED", "1"))
OPERATIONS = int(os.environ.get("SKUA_OPERATIONS", "1500"))
TRANSPORTS = {"dev_fuse": ("-o", "dev_fuse"), "io_uring": ("-o", "io_uring")}


def one_round(c, transport, seed, big, operations):
    local = tempfile.mkdtemp(prefix="skua-twin-")
    os.umask(0o022)
    mounted = c.mount(*TRANSPORTS[transport])
    name = f"{transport}-{seed}-{int(big)}/root"        # two deep: a link to ../f1 leads out of it, and stays ours
    ours = os.path.join(mounted, name)
    os.makedirs(ours)
    os.makedirs(os.path.join(local, name))
    twins = Twins(ours, os.path.join(local, name), seed, big)
    try:
        for _ in range(3):
            twins.run(operations // 3)
            twins.compare()             # also what is open and not committed
        twins.close_all()
        c.unmount()
        c.mount(*TRANSPORTS[transport])
        twins.compare()                 # as the cluster has it
    except BaseException:
        twins.abandon()
        raise
    finally:
        c.unmount()
        shutil.rmtree(local, ignore_errors=True)


def rounds(transport, big, count, operations):
    require_mount()
    with Cluster() as c:
        for n in range(count):
            started = time.monotonic()
            one_round(c, transport, SEED + n, big, operations)
            print(f"  {transport} seed={SEED + n} big={big} operations={operations} {time.monotonic() - started:.1f} s", flush=True)


@promise
def a_mount_by_dev_fuse_answers_as_a_local_directory():
    rounds("dev_fuse", False, 20 if LONG else 4, OPERATIONS)


@promise
def a_mount_by_io_uring_answers_as_a_local_directory():
    rounds("io_uring", False, 20 if LONG else 4, OPERATIONS)


@promise
def files_of_many_spans_are_edited_as_on_a_local_directory():
    rounds("dev_fuse", True, 6 if LONG else 1, OPERATIONS)
    rounds("io_uring", True, 6 if LONG else 1, OPERATIONS)


main()
