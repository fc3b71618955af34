#!/usr/bin/env python3
"""A mount while too many disks are away: it waits (hard), and can be interrupted; what is lost, or `-o soft`, is EIO."""
import errno, os, random, signal, subprocess, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Cluster, main, promise, require_mount, wait_for

MIB = 1 << 20
BYTES = random.Random(1).randbytes(16 * MIB)
AWAY = (1, 3, 4, 6, 7)  # of 8, with 4 + 2: nothing can be read or written. The registry declares them dead after 30 s


class Broken:
    """A cluster with three mounted files that too many disks are missing for."""

    def __init__(self, *options):
        require_mount()
        self.c = Cluster(disks=8, shards=2)
        try:
            self.m = self.c.mount(*options)
            for i in range(3):
                self.c.skua("put", f"/f{i}", input=BYTES)
            self.take_away()
        except BaseException:
            self.c.close(keep=True)
            raise

    def take_away(self):
        for i in AWAY:
            self.c.kill(f"blocks-{i}")
        self.since = time.monotonic()

    def bring_back(self):
        for i in AWAY:
            self.c.start(f"blocks-{i}")

    def waiting(self):
        return self.c.status()["mounts"][0]["waiting"]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            self.bring_back()  # what still waits would hold up the end
        finally:
            self.c.close(keep=kind is not None)


def cat(path):
    return subprocess.Popen(["cat", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def store(path):
    return subprocess.Popen(["dd", "of=" + path, "bs=1M", "conv=fsync", "status=none"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)


def tee(path):  # unlike dd it leaves SIGINT alone: as on NFS, only who dies of a signal is interrupted by it
    return subprocess.Popen(["tee", path], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def feed(process):
    try:
        process.stdin.write(BYTES)
        process.stdin.close()
    except BrokenPipeError:
        pass


def start_readers(b):
    """Readers of all three files, once somebody waits."""
    readers = [cat(f"{b.m}/f{i}") for i in range(3)]
    wait_for(b.waiting, 20, "somebody waiting")
    return readers


@promise
def a_hard_mount_waits_for_disks_says_so_and_goes_on_when_they_are_back():
    with Broken() as b:
        readers = start_readers(b)
        writer = store(f"{b.m}/new")
        feed(writer)
        assert "disk " in b.waiting() and "(blocks-" in b.waiting(), b.waiting()
        assert b"waits for disks" in b.c.skua("status").stdout
        assert b.c.log("mount").count("waiting for disks missing=") == 1, "once, whoever waits"
        assert all(p.poll() is None for p in readers + [writer])
        # What needs no disk goes on meanwhile.
        open(f"{b.m}/small", "wb").write(b"s" * 100)
        assert open(f"{b.m}/small", "rb").read() == b"s" * 100 and len(os.listdir(b.m)) >= 4
        assert time.monotonic() - b.since < 25, "too slow a machine to say: they may be declared dead"
        b.bring_back()
        back = time.monotonic()
        for p in readers:
            out, err = p.communicate(timeout=30)
            assert p.returncode == 0 and out == BYTES, (p.returncode, err)
        assert writer.wait(timeout=30) == 0, writer.stderr.read()
        assert time.monotonic() - back < 15, f"{time.monotonic() - back:.1f} s after they were back"
        wait_for(lambda: not b.waiting(), 10, "nobody waiting")
        assert b.c.skua("cat", "/new").stdout == BYTES
        assert b.c.log("mount").count("waiting for disks missing=") == 1


@promise
def who_waits_for_disks_can_be_killed_or_interrupted_at_once():
    with Broken() as b:
        for sign in (signal.SIGINT, signal.SIGKILL):
            readers = start_readers(b)
            # One in close(), the other in fsync(); what they wrote is not lost with them.
            writers = [tee(f"{b.m}/tee-{sign.name}")] + [store(f"{b.m}/dd-{sign.name}") for _ in range(sign == signal.SIGKILL)]
            for writer in writers:
                feed(writer)
            for p in readers + writers:
                assert p.poll() is None, p.args
                started = time.monotonic()
                p.send_signal(sign)
                p.wait(timeout=10)
                assert p.returncode == -sign, p.returncode
                assert time.monotonic() - started < 3, f"{p.args[0]} took {time.monotonic() - started:.1f} s to die of {sign.name}"
        assert time.monotonic() - b.since < 28, "too slow a machine to say: they may be declared dead"
        b.bring_back()
        for name in ("tee-SIGINT", "tee-SIGKILL", "dd-SIGKILL"):
            wait_for(lambda: b.c.skua("cat", f"/{name}", check=False).stdout == BYTES, 30, f"what a killed writer had written: {name}")


@promise
def what_is_on_disks_that_are_declared_dead_is_eio_at_once():
    with Broken() as b:
        disks = {d["server"]: d["id"] for d in b.c.status()["disks"]}
        readers = start_readers(b)
        for i in AWAY:
            b.c.skua("admin", "confirm-dead", "--disk", disks[f"blocks-{i}"], "--force")
        declared = time.monotonic()
        for p in readers:
            out, err = p.communicate(timeout=20)
            assert p.returncode == 1 and b"Input/output error" in err, (p.returncode, err)
        assert time.monotonic() - declared < 8, f"{time.monotonic() - declared:.1f} s"
        started = time.monotonic()
        try:
            open(b.m + "/f0", "rb").read()
            raise AssertionError("read what is lost")
        except OSError as e:
            assert e.errno == errno.EIO, e
        assert time.monotonic() - started < 5, time.monotonic() - started
        writer = store(f"{b.m}/new")
        feed(writer)
        assert writer.wait(timeout=20) == 1 and b"Input/output error" in writer.stderr.read()


@promise
def a_soft_mount_gives_eio_after_its_timeout():
    with Broken("-o", "soft,timeout=7") as b:
        for i in range(2):
            started = time.monotonic()
            try:
                open(f"{b.m}/f{i}", "rb").read()
                raise AssertionError("read what is not there")
            except OSError as e:
                assert e.errno == errno.EIO, e
            took = time.monotonic() - started
            assert took < 12 and (i > 0 or took > 4), f"{took:.1f} s"
        writer = store(f"{b.m}/new")
        feed(writer)
        assert writer.wait(timeout=40) == 1 and b"Input/output error" in writer.stderr.read()
        assert not b.waiting()


main()
