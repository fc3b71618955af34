#!/usr/bin/env python3
"""More of what a mount promises (see semantics_test.py): two mounts, odd ways to open, holes, rights, locks, a killed driver."""
import errno, fcntl, json, mmap, os, re, signal, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Cluster, Skip, main, promise, require_mount, run, wait_for


def cat(c, path):
    """What others see: None if there is nothing."""
    done = c.skua("cat", path, check=False)
    return done.stdout if done.returncode == 0 else None


def fails(with_errno, f, *args):
    try:
        f(*args)
    except OSError as e:
        assert e.errno == with_errno, f"{errno.errorcode[e.errno]} instead of {errno.errorcode[with_errno]}"
        return
    raise AssertionError(f"no {errno.errorcode[with_errno]}")


def driver(mountpoint):
    """The process id of the skua-fuse that serves it."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open(f"/proc/{pid}/cmdline").read().split("\0")
        except OSError:
            continue
        if os.path.basename(words[0]) == "skua-fuse" and mountpoint in words:
            return int(pid)
    raise AssertionError(f"no driver of {mountpoint}")


class Mounted:
    """A cluster with one mount or two; `with Mounted() as (c, m):`."""
    def __init__(self, *options, two=False):
        require_mount()
        self.options, self.two = options, two

    def __enter__(self):
        os.umask(0o022)
        self.c = Cluster()
        try:
            first = self.c.mount(*self.options)
            if not self.two:
                return self.c, first
            self.second = os.path.join(self.c.scratch, "second")
            os.mkdir(self.second)
            self.c.skua("mount", self.second, *self.options)
            return self.c, first, self.second
        except BaseException:
            self.c.close(keep=True)
            raise

    def __exit__(self, kind, *_):
        if self.two:
            self.c.skua("umount", "--force", self.second, check=False)
        self.c.close(keep=kind is not None)


@promise
def two_mounts_agree_from_close_to_open():
    with Mounted(two=True) as (c, a, b):
        open(f"{a}/f", "wb").write(b"first")
        assert open(f"{b}/f", "rb").read() == b"first"
        for n in range(20):
            open((a, b)[n % 2] + "/f", "wb").write(b"round %d" % n * (1 + n * 1000))
            assert open((b, a)[n % 2] + "/f", "rb").read() == b"round %d" % n * (1 + n * 1000)
        # What was heard just before is not held against a file that is opened: neither its end, nor where to append.
        for n in range(5):
            os.stat(f"{b}/f")
            with open(f"{a}/f", "ab") as f:
                f.write(b"more %d" % n * (1 + n * 700))
            expected = open(f"{a}/f", "rb").read()
            fd = os.open(f"{b}/f", os.O_RDONLY)
            assert os.read(fd, 1 << 20) == expected
            os.close(fd)
            assert os.stat(f"{b}/f").st_size == len(expected)
            os.stat(f"{a}/f")
            fd = os.open(f"{b}/f", os.O_WRONLY | os.O_APPEND)
            os.write(fd, b"and this")
            os.close(fd)
            fd = os.open(f"{a}/f", os.O_WRONLY | os.O_APPEND)
            os.write(fd, b", too")
            os.close(fd)
            assert cat(c, "/f") == expected + b"and this, too", n
        # Both create the same name: the later close wins, nothing is lost half-way.
        x, y = open(f"{a}/same", "wb"), open(f"{b}/same", "wb")
        x.write(b"from a")
        y.write(b"from the other")
        x.close()
        y.close()
        assert open(f"{a}/same", "rb").read() == open(f"{b}/same", "rb").read() == b"from the other"
        # Byte ranges of two edits are merged; appended bytes all stay.
        open(f"{a}/ranges", "wb").write(b"-" * 300_000)
        x, y = open(f"{a}/ranges", "r+b"), open(f"{b}/ranges", "r+b")
        os.pwrite(x.fileno(), b"a" * 100, 1000)
        os.pwrite(y.fileno(), b"b" * 100, 200_000)
        x.close()
        y.close()
        got = open(f"{a}/ranges", "rb").read()
        assert got == b"-" * 1000 + b"a" * 100 + b"-" * 198_900 + b"b" * 100 + b"-" * 99_900
        x, y = open(f"{a}/log", "ab"), open(f"{b}/log", "ab")
        x.write(b"x" * 1000)
        y.write(b"y" * 1000)
        x.close()
        y.close()
        assert sorted(open(f"{a}/log", "rb").read()) == sorted(b"x" * 1000 + b"y" * 1000)


@promise
def a_file_created_for_reading_or_truncated_for_reading_counts():
    with Mounted() as (c, m):
        os.close(os.open(f"{m}/made", os.O_CREAT | os.O_RDONLY, 0o640))
        assert cat(c, "/made") == b"" and os.stat(f"{m}/made").st_mode & 0o777 == 0o640
        open(f"{m}/full", "wb").write(b"bytes")
        os.close(os.open(f"{m}/full", os.O_TRUNC | os.O_RDONLY))
        assert os.stat(f"{m}/full").st_size == 0 and cat(c, "/full") == b""


@promise
def data_and_holes_are_found_and_no_more_data_is_enxio():
    with Mounted() as (c, m):
        with open(f"{m}/h", "w+b", buffering=0) as f:
            os.pwrite(f.fileno(), b"x" * 5000, 20 << 20)
            os.ftruncate(f.fileno(), 40 << 20)
            for _ in ("open", "committed"):
                assert os.lseek(f.fileno(), 0, os.SEEK_HOLE) == 0
                assert (16 << 20) <= os.lseek(f.fileno(), 0, os.SEEK_DATA) <= 20 << 20
                fails(errno.ENXIO, os.lseek, f.fileno(), (40 << 20) - 1, os.SEEK_DATA)
                fails(errno.ENXIO, os.lseek, f.fileno(), 40 << 20, os.SEEK_HOLE)
                os.fsync(f.fileno())
        assert os.stat(f"{m}/h").st_blocks * 512 < 10 << 20


@promise
def a_file_is_read_and_mapped_while_another_descriptor_writes_it():
    with Mounted() as (c, m):
        path = f"{m}/growing"
        out = os.open(path, os.O_WRONLY | os.O_CREAT)      # goes past the kernel's pages: see fuse/requests/open.cc
        reader = os.open(path, os.O_RDONLY)
        whole = b""
        for n in range(40):
            piece = bytes([n + 1]) * (1 + n * 3001 % 70_000)
            assert os.write(out, piece) == len(piece)
            whole += piece
            assert os.pread(reader, len(whole) + 10, 0) == whole, f"read after write {n}"
            assert os.fstat(reader).st_size == len(whole)
        for flags in (mmap.MAP_SHARED, mmap.MAP_PRIVATE):
            with mmap.mmap(reader, len(whole), flags, mmap.PROT_READ) as memory:
                assert memory[:] == whole
        os.pwrite(out, b"changed", 5000)
        whole = whole[:5000] + b"changed" + whole[5007:]
        os.close(out)
        assert os.pread(reader, len(whole) + 10, 0) == whole
        assert open(path, "rb").read() == whole == cat(c, "/growing")
        with open(path, "r+b") as f, mmap.mmap(f.fileno(), 0) as memory:
            assert memory[:] == whole
            memory[0:3] = b"map"
        os.close(reader)
        assert cat(c, "/growing") == b"map" + whole[3:]


@promise
def a_long_file_that_is_written_from_its_beginning_to_its_end_needs_little_memory():
    with Mounted() as (c, m):
        run("dd", "if=/dev/zero", f"of={m}/long", "bs=1M", "count=400", "conv=fsync", "status=none")
        status = open(f"/proc/{driver(m)}/status").read()
        most = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024
        assert most < 250, f"{most} MiB at most"


def used_mib(c):
    """What blocks take on all disks, once their services have told the registry. Past contents count too, so an
    edit adds what it writes."""
    told = []

    def settled():
        told.append(sum(d["used"] for d in json.loads(c.skua("status", "--json").stdout)["disks"]))
        return told[-1] > 0 and len(told) > 20 and len(set(told[-20:])) == 1
    wait_for(settled, 60)
    return told[-1] / (1 << 20)


@promise
def an_edit_of_a_long_file_writes_the_spans_that_it_touches_and_no_others():
    with Mounted() as (c, m):
        size = 200 << 20
        with open(f"{m}/long", "wb") as f:
            for n in range(size >> 20):
                f.write(bytes([n]) * (1 << 20))
        used = used_mib(c)
        assert used > 250                       # 4+2

        def overwrite():
            with open(f"{m}/long", "r+b") as f:
                f.seek((100 << 20) + 77)
                f.write(b"changed")

        def append():
            with open(f"{m}/long", "ab") as f:
                f.write(b"the end")

        def shorten():
            os.truncate(f"{m}/long", size - 12345)

        def punch():
            run("fallocate", "-p", "-o", str(20 << 20), "-l", str(90 << 20), f"{m}/long")

        span = 16                               # MiB, at most
        for change in (overwrite, append, shorten, punch):
            before = used
            change()
            used = used_mib(c)
            wrote = used - before
            assert wrote < 2 * span * 1.5 + 2, f"{change.__name__}: {wrote:.1f} MiB"
        assert os.stat(f"{m}/long").st_size == size - 12345
        with open(f"{m}/long", "rb") as f:
            data = f.read()
        assert data[:20 << 20] == b"".join(bytes([n]) * (1 << 20) for n in range(20))
        assert not any(data[20 << 20:110 << 20]) and data[110 << 20] == 110 and len(data) == size - 12345
        assert data[:1 << 20] == cat(c, "/long")[:1 << 20]


@promise
def a_directory_that_changes_while_it_is_read_shows_what_stayed_exactly_once():
    with Mounted() as (c, m):
        os.mkdir(f"{m}/many")
        with open(f"{m}/many/open", "wb") as f:
            f.write(b"x")
            for n in range(3000):
                open(f"{m}/many/n{n}", "w").close()
            seen = []
            with os.scandir(f"{m}/many") as entries:
                for i, entry in enumerate(entries):
                    seen.append(entry.name)
                    if i % 3 == 0 and i < 1500:
                        os.unlink(f"{m}/many/n{i}")
                        open(f"{m}/many/late{i}", "w").close()
        stayed = {f"n{n}" for n in range(3000) if n % 3 or n >= 1500} | {"open"}
        assert not [n for n in stayed if seen.count(n) != 1], "a name was missed or came twice"
        run("rm", "-rf", f"{m}/many")
        assert os.listdir(m) == []


@promise
def rights_are_checked_for_everybody():
    python = "/usr/bin/python3"         # one that everybody may run
    if os.geteuid() != 0 or not os.path.exists(python):
        raise Skip("only root can try, with Debian's python3")
    with Mounted() as (c, m):
        os.chmod(c.scratch, 0o755)
        os.mkdir(f"{m}/mine", 0o700)
        open(f"{m}/secret", "w").close()
        os.chmod(f"{m}/secret", 0o600)
        os.mkdir(f"{m}/all")
        os.chmod(f"{m}/all", 0o1777)
        script = f"""import os, sys
for f in (lambda: open("{m}/secret"), lambda: os.listdir("{m}/mine"), lambda: open("{m}/new", "w"), lambda: os.chmod("{m}/secret", 0o777),
          lambda: os.rename("{m}/all", "{m}/x"), lambda: os.unlink("{m}/all/roots")):
    try:
        f()
        sys.exit("allowed")
    except PermissionError:
        pass
open("{m}/all/his", "w").write("x")
"""
        open(f"{m}/all/roots", "w").close()
        done = subprocess.run([python, "-c", script], user=65534, group=65534, extra_groups=[], capture_output=True, cwd="/")
        assert done.returncode == 0, done.stderr.decode()
        assert os.stat(f"{m}/all/his").st_uid == 65534


@promise
def locks_work_between_processes():
    with Mounted() as (c, m):
        script = "import fcntl,sys; f=open(sys.argv[1],'r+'); fcntl.{0}(f, fcntl.LOCK_EX | fcntl.LOCK_NB)"
        for kind in ("flock", "lockf"):
            with open(f"{m}/l", "w+") as f:
                getattr(fcntl, kind)(f, fcntl.LOCK_EX)
                assert run(sys.executable, "-c", script.format(kind), f"{m}/l", check=False).returncode != 0
            run(sys.executable, "-c", script.format(kind), f"{m}/l")


@promise
def a_driver_that_was_killed_is_cleared_by_the_next_mount():
    with Mounted() as (c, m):
        open(f"{m}/kept", "w").write("kept")
        os.kill(c.pid("mount"), signal.SIGKILL)
        wait_for(lambda: cat(c, "/kept") == b"kept", 5)
        wait_for(lambda: not alive(c), 10, "its end")
        c.skua("mount", m)
        assert open(f"{m}/kept").read() == "kept"


def alive(c):
    try:
        return open(f"/proc/{c.pid('mount')}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


if __name__ == "__main__":
    main()
