#!/usr/bin/env python3
"""A mount does what a local directory does: the same random operations on both, over both transports."""
import os, shutil, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), HERE]
from harness import Cluster, LONG, main, promise, require_mount
from same import Same

SEEDS = 60 if LONG else 6
STEPS = 3000 if LONG else 800


def compare(options, first):
    require_mount()
    with Cluster() as c, tempfile.TemporaryDirectory() as local:
        mnt = c.mount(*options)
        for seed in range(first, first + SEEDS):
            for root in (local, mnt):
                os.mkdir(os.path.join(root, str(seed)))
            Same(seed, os.path.join(local, str(seed)), os.path.join(mnt, str(seed))).run(STEPS)
            for root in (local, mnt):
                shutil.rmtree(os.path.join(root, str(seed)))


@promise
def random_operations_over_io_uring_do_what_they_do_locally():
    compare(["-o", "io_uring"], 1)


@promise
def random_operations_over_dev_fuse_do_what_they_do_locally():
    compare(["-o", "dev_fuse"], 1001)


@promise
def random_operations_with_little_memory_do_what_they_do_locally():
    compare(["-o", "dirty_mib=0"], 2001)


@promise
def what_a_differential_run_left_is_there_after_a_remount():
    require_mount()
    with Cluster() as c, tempfile.TemporaryDirectory() as local:
        mnt = c.mount()
        same = Same(7, local, mnt)
        same.run(STEPS)
        c.unmount()
        c.mount()
        same.compare()


if __name__ == "__main__":
    main()
