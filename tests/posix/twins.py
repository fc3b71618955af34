"""The same random operations on two directories, a mount and a local one, that must answer alike.

    twins = Twins(mount_dir, local_dir, seed, big=False)
    twins.run(2000)            # AssertionError with the seed and the last operations when they differ
    twins.compare()            # the whole trees

SKUA_TRACE=FILE takes all operations of a run that failed.
SKUA_WITHOUT=name,name leaves operations out, to see behind a difference that is known.
Everything random comes from the seed. What may differ between good file systems is not looked at: inode numbers,
blocks, sizes of directories, times that nobody set.
"""
import ctypes, errno, hashlib, mmap, os, random, stat

libc = ctypes.CDLL(None, use_errno=True)
DIRECTORIES = ["", "a", "b", "a/c", "a/c/d", "b/e"]
FILES, FOLDERS = ["f0", "f1", "f2", "f3", "f4"], ["a", "b", "c", "d", "e"]
SLOTS = 6
WITHOUT = os.environ.get("SKUA_WITHOUT", "").split(",")
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
NOREPLACE, EXCHANGE = 1, 2


def renameat2(a, b, flags):
    if libc.renameat2(-100, a.encode(), -100, b.encode(), flags) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def fallocate(fd, mode, offset, length):
    if libc.fallocate(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length)) != 0:
        raise OSError(ctypes.get_errno(), "fallocate")


def of_stat(st):
    known = [stat.filemode(st.st_mode), st.st_nlink, st.st_uid, st.st_gid]
    return tuple(known if stat.S_ISDIR(st.st_mode) else known + [st.st_size])


def digest(data):
    return (len(data), hashlib.sha256(data).hexdigest()[:16])


def read_whole(path):
    h, n = hashlib.sha256(), 0
    with open(path, "rb", buffering=0) as f:
        while piece := f.read(1 << 20):
            h.update(piece)
            n += len(piece)
    return (n, h.hexdigest()[:16])


def tree(root, bytes_too=True):
    """All that is below: path -> what can be seen of it."""
    found = {}
    for at, directories, files in os.walk(root):
        for name in directories + files:
            path = os.path.join(at, name)
            st = os.lstat(path)
            seen = of_stat(st)
            if stat.S_ISLNK(st.st_mode):
                seen += (os.readlink(path),)
            elif stat.S_ISREG(st.st_mode):
                seen += (tuple((n, os.getxattr(path, n)) for n in sorted(os.listxattr(path)) if n.startswith("user.")),)
                if bytes_too:
                    seen += read_whole(path)
            found[os.path.relpath(path, root)] = seen
    return found


def differences(a, b, limit=12):
    return [f"{p}: {a.get(p)} and {b.get(p)}" for p in sorted(set(a) | set(b)) if a.get(p) != b.get(p)][:limit]


class Twins:
    def __init__(self, ours, theirs, seed, big=False):
        self.roots, self.seed, self.big = (ours, theirs), seed, big
        self.random = random.Random(seed)
        self.slots = [None] * SLOTS          # (fd of ours, fd of theirs)
        self.told = []
        self.pool = random.Random(7).randbytes(4 << 20)

    # --- what is random ---------------------------------------------------------------------------------
    def path(self):
        names = FILES if self.random.random() < 0.9 else FOLDERS
        return os.path.join(self.random.choice(DIRECTORIES), self.random.choice(names))

    def folder(self):
        return self.random.choice(DIRECTORIES[1:])

    def slot(self):
        taken = [i for i, s in enumerate(self.slots) if s]
        return self.random.choice(taken) if taken else None

    def offset(self):
        edges = [0, 4096, 65536, 128 << 10, 1 << 20] + ([16 << 20, 32 << 20] if self.big else [])
        r = self.random.random()
        if r < 0.4:
            return self.random.randrange(0, 20000)
        if r < 0.8:
            return max(0, self.random.choice(edges) + self.random.randrange(-5000, 5000))
        return self.random.randrange(0, (40 << 20) if self.big else (300 << 10))

    def data(self):
        r = self.random.random()
        size = self.random.randrange(1, 300) if r < 0.3 else self.random.randrange(1, 20000) if r < 0.8 else self.random.randrange(1, 200 << 10)
        if self.big and r > 0.9:
            size = self.random.randrange(1, 4 << 20)
        at = self.random.randrange(0, len(self.pool) - size + 1)
        return self.pool[at:at + size]

    # --- one operation on both -----------------------------------------------------------------------------
    def both(self, name, told, act):
        """act(0), act(1): the twins' answers, or their errno; compared."""
        if name in WITHOUT:
            return None
        answers = []
        for side in (0, 1):
            try:
                answers.append(act(side))
            except OSError as e:
                answers.append(errno.errorcode.get(e.errno, e.errno))
        self.told.append(f"{len(self.told)} {name} {told} -> {answers[1]}")
        if answers[0] != answers[1]:
            self.differ(f"{name} {told}: the mount says {answers[0]}, the local directory {answers[1]}")
        return answers[1]

    def differ(self, what):
        if trace := os.environ.get("SKUA_TRACE"):       # a file for all operations
            with open(trace, "w") as f:
                f.write("\n".join(self.told) + "\n")
        raise AssertionError(f"seed {self.seed}{' big' if self.big else ''}, operation {len(self.told)}: {what}\n  " + "\n  ".join(self.told[-40:]))

    def on_path(self, name, path, f, *told):
        return self.both(name, " ".join(map(str, (path,) + told)), lambda side: f(os.path.join(self.roots[side], path)))

    def on_slot(self, name, i, f, *told):
        return self.both(name, " ".join(map(str, (i,) + told)), lambda side: f(self.slots[i][side]))

    def open(self):
        path, i = self.path(), self.random.randrange(SLOTS)
        if self.slots[i]:
            self.close(i)
        flags = self.random.choice([os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR])
        for extra, chance in ((os.O_CREAT, 0.7), (os.O_EXCL, 0.15), (os.O_TRUNC, 0.2), (os.O_APPEND, 0.2), (os.O_NOFOLLOW, 0.1)):
            if self.random.random() < chance:
                flags |= extra
        if flags & os.O_EXCL:
            flags |= os.O_CREAT
        if "read_create" in WITHOUT and flags & os.O_CREAT and flags & os.O_ACCMODE == os.O_RDONLY:
            flags |= os.O_RDWR
        if "read_truncate" in WITHOUT and flags & os.O_TRUNC and flags & os.O_ACCMODE == os.O_RDONLY:
            flags |= os.O_RDWR
        mode = self.random.choice([0o644, 0o600, 0o755, 0o4755])
        fds = [None, None]

        def act(side):
            fds[side] = os.open(os.path.join(self.roots[side], path), flags | os.O_CLOEXEC, mode)
            return "open"
        try:
            answer = self.both("open", f"{path} {i} flags={flags:o} mode={mode:o}", act)
        except AssertionError:
            [os.close(fd) for fd in fds if fd is not None]
            raise
        if answer == "open":
            self.slots[i] = tuple(fds)

    def close(self, i):
        self.on_slot("close", i, os.close)
        self.slots[i] = None

    def map_read(self, i):
        def act(fd):
            st = os.fstat(fd)
            size = st.st_size
            if size == 0 or not stat.S_ISREG(st.st_mode):
                return "nothing"
            with mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ) as m:
                return digest(m[:])
        self.on_slot("map_read", i, act)

    def map_write(self, i):
        data, at = self.data(), self.offset()

        def act(fd):
            st = os.fstat(fd)
            size = st.st_size
            if size <= at or not stat.S_ISREG(st.st_mode):
                return "short"
            with mmap.mmap(fd, size) as m:
                n = min(len(data), size - at)
                m[at:at + n] = data[:n]
                m.flush()
                return n
        self.on_slot("map_write", i, act, at, len(data))

    def times(self, path):
        t = (self.random.randrange(1, 2_000_000_000) * 10**9 + 123456789, self.random.randrange(1, 2_000_000_000) * 10**9 + 5)

        def act(p):
            os.utime(p, ns=t)
            st = os.stat(p)
            return (st.st_atime_ns, st.st_mtime_ns)
        self.on_path("utime", path, act)

    def seek_hole(self, i):
        """Where data and holes are may differ in grain; that all between them is zero may not."""
        def act(fd):
            place = os.lseek(fd, 0, os.SEEK_CUR)            # the grain must not move later writes
            try:
                return look(fd)
            finally:
                os.lseek(fd, place, os.SEEK_SET)

        def look(fd):
            size, at = os.fstat(fd).st_size if stat.S_ISREG(os.fstat(fd).st_mode) else 0, 0
            while at < size:
                try:
                    data = os.lseek(fd, at, os.SEEK_DATA)
                except OSError as e:
                    if e.errno != errno.ENXIO:
                        raise
                    data = size
                hole = os.pread(fd, min(data, size) - at, at) if data - at < (8 << 20) else b""
                if hole.strip(b"\0"):
                    return f"bytes in a hole at {at}"
                at = os.lseek(fd, data, os.SEEK_HOLE) if data < size else size
            return "good"
        self.on_slot("seek_hole", i, act)

    def step(self):
        r, i, path = self.random, self.slot(), self.path()
        kinds = ["open"] * 7 + ["path"] * 10 + (["slot"] * 22 + ["close"] * 4 if i is not None else [])
        kind = r.choice(kinds)
        if kind == "open":
            return self.open()
        if kind == "close":
            return self.close(i)
        if kind == "slot":
            return self.slot_step(i)
        other = self.path()
        at = r.randrange(19)
        if at < 3:
            self.both("rename", f"{path} {other}", lambda s: os.rename(os.path.join(self.roots[s], path), os.path.join(self.roots[s], other)))
        elif at == 3:
            flags = r.choice([NOREPLACE, EXCHANGE])
            self.both("rename2", f"{path} {other} {flags}", lambda s: renameat2(os.path.join(self.roots[s], path), os.path.join(self.roots[s], other), flags))
        elif at == 4:
            self.both("link", f"{path} {other}", lambda s: os.link(os.path.join(self.roots[s], path), os.path.join(self.roots[s], other), follow_symlinks=False))
        elif at < 7:
            self.on_path("unlink", path, os.unlink)
        elif at < 9:
            path = self.folder() if r.random() < 0.8 else path
            self.on_path("mkdir", path, lambda p: os.mkdir(p, 0o755))
        elif at == 9:
            path = self.folder()
            self.on_path("rmdir", path, os.rmdir)
        elif at == 10:
            target = r.choice(["f0", "../f1", "c/f2", "nowhere", "."])
            self.on_path("symlink", path, lambda p: os.symlink(target, p), target)
        elif at == 11:
            mode = r.choice([0o600, 0o644, 0o755, 0o2755])
            self.on_path("chmod", path, lambda p: os.chmod(p, mode), oct(mode))
        elif at == 12:
            size = self.offset()
            self.on_path("truncate", path, lambda p: os.truncate(p, size), size)
        elif at == 13:
            self.times(path)
        elif at == 14:
            path = self.folder()
            self.on_path("list", path, lambda p: sorted(os.listdir(p)))
        elif at == 15:
            self.on_path("lstat", path, lambda p: of_stat(os.lstat(p)))
        elif at == 16:
            self.on_path("whole", path, read_whole)
        elif at == 17:
            value = self.data()[:200]
            self.on_path("setxattr", path, lambda p: os.setxattr(p, "user.x", value, r.choice([0])) or os.getxattr(p, "user.x"), len(value))
        else:
            self.on_path("readlink", path, os.readlink)

    def slot_step(self, i):
        r, data, at = self.random, self.data(), self.offset()
        kind = r.randrange(22)
        length = r.choice([1, 4096, 100_000, 1 << 20])
        if kind < 7:
            self.on_slot("pwrite", i, lambda fd: os.pwrite(fd, data, at), at, len(data))
        elif kind < 9:
            self.on_slot("write", i, lambda fd: os.write(fd, data), len(data))
        elif kind < 13:
            self.on_slot("pread", i, lambda fd: digest(os.pread(fd, length, at)), at, length)
        elif kind < 15:
            self.on_slot("ftruncate", i, lambda fd: os.ftruncate(fd, at), at)
        elif kind == 15:
            self.on_slot("fstat", i, lambda fd: of_stat(os.fstat(fd)))
        elif kind == 16:
            self.on_slot("fsync", i, os.fsync)
        elif kind == 17:
            self.map_read(i)
        elif kind == 18:
            self.map_write(i)
        elif kind == 19:
            mode = r.choice([0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE])
            self.on_slot("fallocate", i, lambda fd: fallocate(fd, mode, at, length), mode, at, length)
        elif kind == 20:
            self.seek_hole(i)
        else:
            j, to = self.slot(), self.offset()
            if i != j:
                self.both("copy_range", f"{i} {j} {at} {to} {length}",
                          lambda s: os.copy_file_range(self.slots[i][s], self.slots[j][s], length, at, to))

    def run(self, operations):
        for _ in range(operations):
            self.step()

    def compare(self):
        found = differences(tree(self.roots[0]), tree(self.roots[1]))
        if found:
            self.differ("the trees differ (mount and local):\n   " + "\n   ".join(found))

    def close_all(self):
        for i in range(SLOTS):
            if self.slots[i]:
                self.close(i)

    def abandon(self):
        """After a difference: no descriptor stays."""
        for pair in self.slots:
            for fd in pair or ():
                try:
                    os.close(fd)
                except OSError:
                    pass
        self.slots = [None] * SLOTS
