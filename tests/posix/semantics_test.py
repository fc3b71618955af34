#!/usr/bin/env python3
"""What a mount promises beyond a local directory (design: client.md): when others see what was written here, who
publishes it, what two mounts see of each other, and how a mount ends."""
import errno, mmap, os, signal, subprocess, sys, threading

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
def a_new_file_is_everybodys_whole_at_close_or_fsync_and_not_before():
    with Mounted() as (c, m):
        for size in (5, 200_000, 20 << 20):
            data = os.urandom(size)
            with open(f"{m}/new{size}", "wb", buffering=0) as f:
                f.write(data[:size // 2])
                assert cat(c, f"/new{size}") is None
                assert os.listdir(m).count(f"new{size}") == 1 and os.stat(f"{m}/new{size}").st_size == size // 2
                assert open(f"{m}/new{size}", "rb").read() == data[:size // 2]
                f.write(data[size // 2:])
            assert cat(c, f"/new{size}") == data
        with open(f"{m}/synced", "wb", buffering=0) as f:
            f.write(b"one")
            os.fsync(f.fileno())
            assert cat(c, "/synced") == b"one"
            f.write(b"two")
            assert cat(c, "/synced") == b"one"
        assert cat(c, "/synced") == b"onetwo"


@promise
def an_exclusive_create_is_decided_by_the_shard_at_open():
    with Mounted(two=True) as (c, a, b):
        fd = os.open(f"{a}/lock", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        fails(errno.EEXIST, os.open, f"{b}/lock", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        os.close(fd)
        os.unlink(f"{a}/lock")
        os.close(os.open(f"{b}/lock", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        won = []
        for n in range(20):
            def take(where):
                try:
                    os.close(os.open(f"{where}/l{n}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                    won.append(n)
                except FileExistsError:
                    pass
            threads = [threading.Thread(target=take, args=(w,)) for w in (a, b, a, b)]
            [t.start() for t in threads]
            [t.join() for t in threads]
        assert sorted(won) == list(range(20)), won


@promise
def two_mounts_agree_from_close_to_open():
    with Mounted(two=True) as (c, a, b):
        open(f"{a}/f", "wb").write(b"first")
        assert open(f"{b}/f", "rb").read() == b"first"
        for n in range(20):
            open((a, b)[n % 2] + "/f", "wb").write(b"round %d" % n * (1 + n * 1000))
            assert open((b, a)[n % 2] + "/f", "rb").read() == b"round %d" % n * (1 + n * 1000)
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
def redirections_and_inherited_descriptors_publish_when_the_writer_is_done():
    with Mounted() as (c, m):
        run("sh", "-c", f"(echo one; sleep 0.1; echo two) > {m}/out")
        assert cat(c, "/out") == b"one\ntwo\n"
        run("sh", "-c", f"exec > {m}/exec; echo a; /bin/echo b; (echo c); exec >&-")
        assert cat(c, "/exec") == b"a\nb\nc\n"
        with open(f"{m}/popen", "wb") as f:
            child = subprocess.Popen(["sh", "-c", "read x; echo later"], stdin=subprocess.PIPE, stdout=f)
        child.communicate(b"go\n")
        wait_for(lambda: cat(c, "/popen") == b"later\n", 5, "the child's line")
        # A child that inherits a descriptor and ends does not publish for its parent.
        fd = os.open(f"{m}/parent", os.O_CREAT | os.O_WRONLY)
        os.set_inheritable(fd, True)
        os.write(fd, b"half")
        run("true")
        subprocess.run(["true"], close_fds=False)
        assert cat(c, "/parent") is None
        os.write(fd, b" and half")
        os.close(fd)
        assert cat(c, "/parent") == b"half and half"
        # Whoever dies leaves what it wrote.
        daemon = subprocess.Popen(["sh", "-c", f"exec > {m}/daemon; echo alive; echo $$ >&2; sleep 100"], stderr=subprocess.PIPE, start_new_session=True)
        daemon.stderr.readline()
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()
        wait_for(lambda: cat(c, "/daemon") == b"alive\n", 5, "the daemon's log")


@promise
def names_of_ours_alone_are_renamed_linked_removed_and_counted():
    with Mounted() as (c, m):
        os.mkdir(f"{m}/d")
        f = open(f"{m}/d/x", "wb", buffering=0)
        f.write(b"bytes")
        fails(errno.ENOTEMPTY, os.rmdir, f"{m}/d")
        os.chmod(f"{m}/d/x", 0o600)
        os.utime(f"{m}/d/x", ns=(10**18, 10**18 + 7))
        assert cat(c, "/d/x") is None
        os.rename(f"{m}/d/x", f"{m}/d/y")
        assert cat(c, "/d/y") == b"bytes" and cat(c, "/d/x") is None
        st = os.stat(f"{m}/d/y")
        assert (st.st_mode & 0o777, st.st_mtime_ns) == (0o600, 10**18 + 7)
        f.close()
        f = open(f"{m}/d/z", "wb", buffering=0)
        f.write(b"linked")
        os.link(f"{m}/d/z", f"{m}/d/w")
        assert os.stat(f"{m}/d/z").st_nlink == 2 and cat(c, "/d/w") == b"linked"
        f.write(b" on")
        f.close()
        assert cat(c, "/d/z") == cat(c, "/d/w") == b"linked on"
        f = open(f"{m}/d/gone", "w+b", buffering=0)
        f.write(b"still here")
        os.unlink(f"{m}/d/gone")
        assert os.pread(f.fileno(), 100, 0) == b"still here" and os.fstat(f.fileno()).st_nlink == 0
        f.write(b".")
        f.close()
        assert cat(c, "/d/gone") is None and sorted(os.listdir(f"{m}/d")) == ["w", "y", "z"]
        fd = os.open(f"{m}/d/dir synced", os.O_CREAT | os.O_WRONLY)
        os.write(fd, b"by its directory")
        d = os.open(f"{m}/d", os.O_RDONLY)
        os.fsync(d)
        assert cat(c, "/d/dir synced") == b"by its directory"
        os.close(d)
        os.close(fd)


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
def a_mapped_file_is_written_through_the_map():
    with Mounted() as (c, m):
        open(f"{m}/map", "wb").write(b"." * 300_000)
        with open(f"{m}/map", "r+b") as f, mmap.mmap(f.fileno(), 0) as view:
            view[5:8] = view[200_000:200_003] = b"xyz"
        got = cat(c, "/map")
        wait_for(lambda: cat(c, "/map")[5:8] == b"xyz", 5, "the mapped bytes")
        got = cat(c, "/map")
        assert got == b"." * 5 + b"xyz" + b"." * 199_992 + b"xyz" + b"." * 99_997
        fd = os.open(f"{m}/map", os.O_RDONLY)
        with mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as view:
            assert view[:] == got
        os.close(fd)


@promise
def locks_work_between_processes():
    with Mounted() as (c, m):
        script = "import fcntl,sys; f=open(sys.argv[1],'r+'); fcntl.{0}(f, fcntl.LOCK_EX | fcntl.LOCK_NB)"
        import fcntl
        for kind in ("flock", "lockf"):
            with open(f"{m}/l", "w+") as f:
                getattr(fcntl, kind)(f, fcntl.LOCK_EX)
                assert run(sys.executable, "-c", script.format(kind), f"{m}/l", check=False).returncode != 0
            run(sys.executable, "-c", script.format(kind), f"{m}/l")


@promise
def what_is_open_when_the_driver_is_told_to_go_is_published():
    with Mounted() as (c, m):
        f = open(f"{m}/open", "wb", buffering=0)
        f.write(b"not closed")
        os.kill(c.pid("mount"), signal.SIGTERM)
        wait_for(lambda: cat(c, "/open") == b"not closed", 20, "what was open")
        try:
            f.close()
        except OSError:
            pass
        wait_for(lambda: not os.path.ismount(m), 30, "the end of the mount")
        c.mounted = None


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
