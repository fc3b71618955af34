"""Same: does the same random things in two directories, and wants the same to come of them.

    same = Same(seed, "/tmp/local", "/mnt/x")
    same.run(2000)          # raises AssertionError with the last operations if they differ

Every operation returns what a program would see (a value, or the name of the error). Files stay open for a while, so
that reading, writing, renaming and removing meet on open ones. Now and then both trees are compared whole.
"""
import ctypes, errno, mmap, os, random, stat

LIBC = ctypes.CDLL(None, use_errno=True)
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
PUNCH_HOLE, ZERO_RANGE, KEEP_SIZE = 2, 16, 1


def check(result):
    if result < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))
    return result


def renameat2(a, b, flags):
    check(LIBC.renameat2(-100, a.encode(), -100, b.encode(), ctypes.c_uint(flags)))


def fallocate(fd, mode, offset, length):
    check(LIBC.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)))


class Same:
    NAMES = ["a", "b", "c", "d", "e", "f", "name with a space", "ü" * 40, "x" * 200]

    def __init__(self, seed, left, right, largest=400_000, sync_each=False):
        self.random = random.Random(seed)
        self.roots = [os.path.join(left, "top"), os.path.join(right, "top")]     # so that "../b" stays within
        self.largest = largest
        self.open = []          # of [fd, fd, name]
        self.log = []
        self.sync_each = sync_each

    # --- how both are done and compared -----------------------------------------------------------------
    def both(self, what, f):
        seen = []
        for side, root in enumerate(self.roots):
            try:
                value = f(root, side)
            except OSError as e:
                value = errno.errorcode.get(e.errno, e.errno)
            seen.append(value)
        self.log.append(f"{what} -> {str(seen[0])[:80]!r}")
        if seen[0] != seen[1]:
            raise AssertionError(f"{what}: {self.brief(seen)}\nthe last operations:\n  " + "\n  ".join(self.log[-25:]))
        return seen[0]

    @staticmethod
    def brief(seen):
        a, b = seen
        if isinstance(a, bytes) and isinstance(b, bytes):
            at = next((i for i in range(min(len(a), len(b))) if a[i] != b[i]), min(len(a), len(b)))
            return f"{len(a)} bytes locally, {len(b)} here, first difference at {at}: {a[at:at + 16]!r} {b[at:at + 16]!r}"
        return f"{str(a)[:300]!r} locally, {str(b)[:300]!r} here"

    # --- what there is to choose from ------------------------------------------------------------------------
    def name(self):
        return self.random.choice(self.NAMES)

    def folder(self):
        return self.random.choice(["", "", "d1", "d2", "d1/sub"])

    def path(self):
        return os.path.join(self.folder(), self.name())

    def offset(self):
        r = self.random
        return r.choice([0, 0, r.randrange(100), r.randrange(self.largest), 4096 * r.randrange(self.largest // 4096)])

    def data(self):
        r = self.random
        n = r.choice([1, 10, 100, 4096, r.randrange(1, 20_000), r.randrange(1, self.largest)])
        return r.randbytes(n)

    # --- operations on names ------------------------------------------------------------------------------------
    def op_write_whole(self):
        path, data, flags = self.path(), self.data(), self.random.choice([os.O_TRUNC, 0, os.O_EXCL, os.O_APPEND])

        def f(root, side):
            fd = os.open(os.path.join(root, path), os.O_WRONLY | os.O_CREAT | flags, 0o644)
            try:
                return os.write(fd, data)
            finally:
                os.close(fd)
        self.both(f"write {path} {len(data)} flags={flags:o}", f)

    def op_read_whole(self):
        path = self.path()

        def f(root, side):
            with open(os.path.join(root, path), "rb") as file:
                return file.read()
        self.both(f"read {path}", f)

    def op_stat(self):
        path = self.path()
        self.both(f"stat {path}", lambda root, side: self.stat(os.path.join(root, path)))

    @staticmethod
    def stat(path):
        st = os.lstat(path)
        directory = stat.S_ISDIR(st.st_mode)
        return (st.st_mode, None if directory else st.st_nlink, st.st_uid, st.st_gid, 0 if directory else st.st_size)

    def op_unlink(self):
        path = self.path()
        self.both(f"unlink {path}", lambda root, side: os.unlink(os.path.join(root, path)))

    def op_mkdir(self):
        path = self.random.choice([self.path(), "d1", "d2", "d1/sub"])
        self.both(f"mkdir {path}", lambda root, side: os.mkdir(os.path.join(root, path), 0o755))

    def op_rmdir(self):
        path = self.random.choice([self.path(), "d1", "d2", "d1/sub"])
        self.both(f"rmdir {path}", lambda root, side: os.rmdir(os.path.join(root, path)))

    def op_rename(self):
        a, b = self.path(), self.path()
        if self.random.randrange(8) == 0:
            a, b = self.random.choice([("d1", "d2/moved"), ("d2/moved", "d1"), ("d2", "d1/sub/x"), ("d1/sub", "d2"), ("d1", "d2")])
        flags = self.random.choice([0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE])
        self.both(f"rename {a} {b} flags={flags}", lambda root, side: renameat2(os.path.join(root, a), os.path.join(root, b), flags))

    def op_link(self):
        a, b = self.path(), self.path()
        self.both(f"link {a} {b}", lambda root, side: os.link(os.path.join(root, a), os.path.join(root, b), follow_symlinks=False))

    def op_symlink(self):
        target, path = self.random.choice(["a", "../b", "nowhere", "d1"]), self.path()
        self.both(f"symlink {target} {path}", lambda root, side: os.symlink(target, os.path.join(root, path)))

    def op_readlink(self):
        path = self.path()
        self.both(f"readlink {path}", lambda root, side: os.readlink(os.path.join(root, path)))

    def op_mkfifo(self):
        path = self.path()
        self.both(f"mkfifo {path}x", lambda root, side: os.mkfifo(os.path.join(root, path + "x"), 0o600) if len(path) < 200 else None)

    def op_chmod(self):
        path, mode = self.path(), self.random.choice([0o600, 0o644, 0o755, 0o4755, 0o400])
        self.both(f"chmod {path} {mode:o}", lambda root, side: os.chmod(os.path.join(root, path), mode))

    def op_utime(self):
        path, t = self.path(), self.random.randrange(10**18, 2 * 10**18)

        def f(root, side):
            p = os.path.join(root, path)
            os.utime(p, ns=(t, t + 1))
            return os.stat(p).st_mtime_ns, os.stat(p).st_atime_ns
        if not path.startswith("d"):
            self.both(f"utime {path} {t}", f)

    def op_truncate(self):
        path, size = self.path(), self.offset()
        self.both(f"truncate {path} {size}", lambda root, side: os.truncate(os.path.join(root, path), size))

    def op_list(self):
        path = self.folder()
        self.both(f"list {path}", lambda root, side: sorted(os.listdir(os.path.join(root, path))))

    def op_xattr(self):
        path, name, value = self.path(), self.random.choice(["user.a", "user.b"]), self.random.randbytes(self.random.randrange(100))
        what = self.random.randrange(4)

        def f(root, side):
            p = os.path.join(root, path)
            if what == 0:
                return os.setxattr(p, name, value)
            if what == 1:
                return os.getxattr(p, name)
            if what == 2:
                return sorted(os.listxattr(p))
            return os.removexattr(p, name)
        self.both(f"xattr {what} {path} {name}", f)

    # --- operations on open files -------------------------------------------------------------------------------
    def op_open(self):
        path = self.path()
        flags = os.O_RDWR | self.random.choice([0, os.O_CREAT, os.O_CREAT, os.O_CREAT | os.O_EXCL, os.O_CREAT | os.O_TRUNC, os.O_APPEND | os.O_CREAT])
        fds = []

        def f(root, side):
            fds.append(os.open(os.path.join(root, path), flags, 0o640))
        if self.both(f"open {path} flags={flags:o}", f) is None:
            self.open.append([fds[0], fds[1], path])
        if len(self.open) > 8:
            self.op_close()

    def pick(self):
        return self.random.choice(self.open) if self.open else None

    def op_close(self):
        if not self.open:
            return
        h = self.open.pop(self.random.randrange(len(self.open)))
        self.both(f"close {h[2]}", lambda root, side: os.close(h[side]))

    def op_pwrite(self):
        h = self.pick()
        if h:
            data, at = self.data(), self.offset()
            self.both(f"pwrite {h[2]} at {at} {len(data)}", lambda root, side: os.pwrite(h[side], data, at))

    def op_append(self):
        h = self.pick()
        if h:
            data = self.data()

            def f(root, side):
                os.lseek(h[side], 0, os.SEEK_END)
                return os.write(h[side], data)
            self.both(f"append {h[2]} {len(data)}", f)

    def op_pread(self):
        h = self.pick()
        if h:
            at, n = self.offset(), self.random.choice([10, 5000, self.largest])
            self.both(f"pread {h[2]} at {at} {n}", lambda root, side: os.pread(h[side], n, at))

    def op_ftruncate(self):
        h = self.pick()
        if h:
            size = self.offset()
            self.both(f"ftruncate {h[2]} {size}", lambda root, side: os.ftruncate(h[side], size))

    def op_fallocate(self):
        h = self.pick()
        if h:
            mode = self.random.choice([0, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, KEEP_SIZE])
            at, n = self.offset(), self.random.randrange(1, self.largest)
            self.both(f"fallocate {h[2]} mode={mode} at {at} {n}", lambda root, side: fallocate(h[side], mode, at, n))

    def op_fstat(self):
        h = self.pick()
        if h:
            self.both(f"fstat {h[2]}", lambda root, side: (os.fstat(h[side]).st_size, os.fstat(h[side]).st_nlink, os.fstat(h[side]).st_mode))

    def op_fsync(self):
        h = self.pick()
        if h:
            self.both(f"fsync {h[2]}", lambda root, side: os.fsync(h[side]))

    def op_fchmod(self):
        h = self.pick()
        if h:
            mode = self.random.choice([0o600, 0o666])
            self.both(f"fchmod {h[2]} {mode:o}", lambda root, side: os.fchmod(h[side], mode))

    def op_mmap(self):
        h = self.pick()
        if not h:
            return
        at, data = self.random.randrange(1000), self.random.randbytes(500)

        def f(root, side):
            size = os.fstat(h[side]).st_size
            if size < 2000:
                return "small"
            with mmap.mmap(h[side], size) as m:
                before = m[:100]
                m[at:at + len(data)] = data
                return before
        self.both(f"mmap {h[2]} at {at}", f)

    # --- running ------------------------------------------------------------------------------------------------
    def tree(self, root):
        all = {}
        for folder, folders, files in os.walk(root):
            for n in folders + files:
                p = os.path.join(folder, n)
                kind = os.lstat(p).st_mode
                value = self.stat(p)
                if stat.S_ISLNK(kind):
                    value += (os.readlink(p),)
                elif stat.S_ISREG(kind):
                    with open(p, "rb") as f:
                        value += (f.read(),)
                all[os.path.relpath(p, root)] = value
        return all

    def compare(self):
        a, b = (self.tree(r) for r in self.roots)
        for p in sorted(set(a) | set(b)):
            if a.get(p) != b.get(p):
                raise AssertionError(f"{p}: locally {str(a.get(p))[:200]}, here {str(b.get(p))[:200]}"
                                     + "\nthe last operations:\n  " + "\n  ".join(self.log[-25:]))

    def run(self, steps):
        for d in ("d1", "d2", "d1/sub"):
            self.both(f"mkdir {d}", lambda root, side: os.makedirs(os.path.join(root, d), exist_ok=True))
        ops = [getattr(self, n) for n in sorted(dir(self)) if n.startswith("op_")]
        often = [self.op_open, self.op_pwrite, self.op_pwrite, self.op_pread, self.op_append, self.op_write_whole, self.op_read_whole]
        try:
            for step in range(steps):
                self.random.choice(ops + often)()
                if step % 200 == 199:
                    self.compare()
        finally:
            for a, b, _ in self.open:
                os.close(a)
                os.close(b)
            self.open = []
        self.compare()


if __name__ == "__main__":
    import shutil, sys, tempfile
    mount, steps, seeds = sys.argv[1], int(sys.argv[2]), range(int(sys.argv[3]), int(sys.argv[4]))
    for seed in seeds:
        local, here = tempfile.mkdtemp(), tempfile.mkdtemp(dir=mount)
        Same(seed, local, here).run(steps)
        shutil.rmtree(local)
        shutil.rmtree(here)
        print("seed", seed, "fine", flush=True)
