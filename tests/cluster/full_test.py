#!/usr/bin/env python3
"""Disks that are full, or gone: what users are told, and how soon."""
import errno, os, random, signal, sqlite3, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Cluster, main, promise, wait_for

SMALL = ["--set", "capacity=134217728"]  # the least that a disk may have
MIB = 1 << 20
BYTES = random.Random(1).randbytes(16 * MIB)


def store(path, bytes=BYTES):
    """Writes, syncs and closes: (errno or 0, seconds of the slowest call). Every call is made, as a careful program would."""
    wrong, slowest = 0, 0.0

    def timed(call, *args):
        nonlocal wrong, slowest
        started = time.monotonic()
        try:
            return call(*args)
        except OSError as e:
            wrong = wrong or e.errno
        finally:
            slowest = max(slowest, time.monotonic() - started)

    fd = timed(os.open, path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    if fd is None:
        return wrong, slowest
    at = 0
    while at < len(bytes) and not wrong:
        at += timed(os.write, fd, bytes[at:at + MIB]) or 0
    timed(os.fsync, fd)
    timed(os.close, fd)
    return wrong, slowest


def fill(m, most=200):
    for i in range(most):
        wrong, slowest = store(f"{m}/fill{i}")
        if wrong:
            return i, wrong, slowest
    raise AssertionError("it never became full")


@promise
def full_disks_are_told_within_seconds_and_work_again_when_there_is_room():
    with Cluster(disks=6, shards=2, options=SMALL) as c:
        m = c.mount()
        open(f"{m}/kept", "wb").write(b"k" * 300_000)
        files, wrong, slowest = fill(m)
        assert wrong == errno.ENOSPC, errno.errorcode[wrong]
        assert slowest < 2, f"the first that had no room took {slowest:.1f} s"
        for i in range(3):
            wrong, slowest = store(f"{m}/later{i}")
            assert wrong == errno.ENOSPC and slowest < 2, (wrong, slowest)
        # A file of many spans: the writes themselves fail soon, not only close().
        started = time.monotonic()
        fd = os.open(f"{m}/long", os.O_CREAT | os.O_WRONLY)
        try:
            for i in range(512):
                os.write(fd, BYTES[:MIB])  # perhaps a part of it: then the next one fails
            raise AssertionError("512 MiB were taken by disks that are full")
        except OSError as e:
            assert e.errno == errno.ENOSPC, e
        try:
            os.close(fd)
        except OSError as e:
            assert e.errno == errno.ENOSPC, e
        assert time.monotonic() - started < 5, time.monotonic() - started
        # Nobody promises room that is not there.
        wait_for(lambda: c.skua("df", "--json").stdout and all(d["full"] for d in c.status()["disks"]), 15, "all disks being full")
        df = os.statvfs(m)
        assert df.f_bavail == 0 and df.f_blocks > 0, df
        assert b": full" in c.skua("status").stdout and b"6 full" in c.skua("df").stdout
        # Reads and deletes go on, and what is small enough to need no disk is still written.
        assert open(f"{m}/kept", "rb").read() == b"k" * 300_000
        assert open(f"{m}/fill0", "rb").read() == BYTES
        os.unlink(f"{m}/fill0")
        c.skua("rm", "--now", "/fill1")
        assert not os.path.exists(f"{m}/fill0") and store(f"{m}/tiny", b"x" * 100)[0] == 0
        # A name that is there has what write() took, as anywhere.
        for i in range(3):
            if os.path.exists(f"{m}/later{i}"):
                assert BYTES.startswith(open(f"{m}/later{i}", "rb").read())


@promise
def a_file_that_could_not_be_stored_can_be_written_again_at_once():
    with Cluster(disks=6, shards=2, options=SMALL) as c:
        m = c.mount()
        fill(m)
        assert store(f"{m}/again")[0] == errno.ENOSPC
        wrong, _ = store(f"{m}/again", b"small" * 100)
        assert wrong == 0, errno.errorcode[wrong]
        assert c.skua("cat", "/again").stdout == b"small" * 100


@promise
def what_an_aborted_write_took_is_free_again_soon():
    with Cluster(disks=6, shards=2, options=SMALL) as c:
        m = c.mount()
        used = lambda: sum(d["used"] for d in c.status()["disks"])
        for way in ("put", "mount"):
            if way == "put":
                done = c.skua("put", "/long", input=BYTES * 40, check=False)
                assert done.returncode == 1 and b"no space" in done.stderr.lower(), done.stderr
            else:
                wrong, _ = store(f"{m}/long", BYTES * 40)
                assert wrong == errno.ENOSPC, wrong
            wait_for(lambda: used() < 100 * MIB, 60, f"the room of an aborted {way}")

            def fits():
                return store(f"{m}/fits", BYTES * 4)[0] == 0

            wait_for(fits, 30, "a write into that room")
            assert open(f"{m}/fits", "rb").read() == BYTES * 4
            # (what this takes stays for half an hour)


@promise
def too_many_lost_disks_are_named_and_waited_for_briefly():
    with Cluster(disks=8, shards=2) as c:
        m = c.mount("-o", "soft,timeout=10")  # a hard one waits until they are back: hard_mount_test.py
        for i in range(3):
            c.skua("put", f"/f{i}", input=BYTES)
        for i in (1, 3, 4, 6):
            c.kill(f"blocks-{i}")
        failed = []
        for i in range(3):
            started = time.monotonic()
            done = c.skua("cat", f"/f{i}", check=False)
            took = time.monotonic() - started
            assert took < 8, f"{took:.1f} s"
            if done.returncode == 0:
                assert done.stdout == BYTES
            else:
                failed.append(i)
                assert b"answer; missing: disk " in done.stderr and b"(blocks-" in done.stderr, done.stderr
        assert failed, "four of eight disks are gone and everything can be read"
        for i in failed[:2]:
            started = time.monotonic()
            try:
                open(f"{m}/f{i}", "rb").read()
                raise AssertionError("read what the CLI cannot")
            except OSError as e:
                assert e.errno == errno.EIO, e
            assert time.monotonic() - started < 20, time.monotonic() - started
        # Writing: too few answer, which is not the same as being full.
        started = time.monotonic()
        done = c.skua("put", "/new", input=BYTES, check=False)
        assert done.returncode == 1 and b"too few disks can be written" in done.stderr, done.stderr
        assert b"no space" not in done.stderr and time.monotonic() - started < 12, done.stderr
        wrong, slowest = store(f"{m}/new2")
        assert wrong == errno.EIO, errno.errorcode.get(wrong, wrong)
        # They are back: so is everything.
        for i in (1, 3, 4, 6):
            c.start(f"blocks-{i}")
        for i in range(3):
            wait_for(lambda: c.skua("cat", f"/f{i}", check=False).stdout == BYTES, 30, "the bytes")

        def readable():
            try:
                return open(f"{m}/f{failed[0]}", "rb").read() == BYTES
            except OSError:
                return False

        wait_for(readable, 30, "the bytes through the mount")
        wait_for(lambda: store(f"{m}/new3")[0] == 0, 30, "writing")


@promise
def silent_disks_are_given_up_after_ten_seconds():
    with Cluster(disks=8, shards=2) as c:
        c.skua("put", "/f", input=BYTES * 4)
        pids = [c.pid(f"blocks-{i}") for i in (0, 2, 5, 7)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            done = c.skua("cat", "/f", check=False)
            took = time.monotonic() - started
            assert done.returncode == 1 and b"missing: disk " in done.stderr, done.stderr
            assert took < 14, f"{took:.1f} s"
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        wait_for(lambda: c.skua("cat", "/f", check=False).stdout == BYTES * 4, 30, "the bytes")


@promise
def a_database_on_full_disks_hears_that_it_is_full():
    with Cluster(disks=6, shards=2, options=SMALL) as c:
        m = c.mount()
        db = sqlite3.connect(f"{m}/base.db", timeout=5)
        db.execute("create table t (a integer primary key, b blob)")
        db.execute("insert into t (b) values (?)", (b"first",))
        db.commit()
        fill(m)
        started = time.monotonic()
        try:
            for i in range(400):
                db.execute("insert into t (b) values (?)", (BYTES[:MIB],))
                db.commit()
            raise AssertionError("400 MiB more were taken")
        except sqlite3.OperationalError as e:
            assert "full" in str(e), e
        assert time.monotonic() - started < 60, time.monotonic() - started
        db.rollback()
        assert db.execute("select b from t where a = 1").fetchone() == (b"first",)
        db.close()


@promise
def a_database_hears_that_it_is_full_also_where_others_filled_the_disks():
    with Cluster(disks=6, shards=2, options=SMALL) as c:
        m = c.mount()
        db = sqlite3.connect(f"{m}/base.db", timeout=5)
        db.execute("create table t (a integer primary key, b blob)")
        db.commit()
        # The mount hears nothing of it.
        for size in (16 * MIB, MIB):
            i = 0
            while True:
                done = c.skua("put", f"/fill{size}-{i}", input=BYTES[:size], check=False)
                if b"no space" in done.stderr:  # not on any other failure, as of a machine that is too busy
                    break
                i += 1
                assert i < 2000, done.stderr
        wait_for(lambda: all(d["full"] for d in c.status()["disks"]), 15, "all disks being full")
        try:
            db.execute("insert into t (b) values (?)", (BYTES[:MIB],))
            db.commit()
            raise AssertionError("it was taken")
        except sqlite3.OperationalError as e:
            assert "full" in str(e), e  # not "disk I/O error", which is all that SQLite makes of fsync's ENOSPC
        db.close()


main()
