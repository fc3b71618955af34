"""For tests with a full metadata disk: SmallDisk puts a server's data folder on a file system of its own (ext4 in a file, else
tmpfs), which it fills and empties by a ballast file. Needs root; Skip says so. What is mounted is unmounted by `with`."""
import os, shutil, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Skip, run


class SmallDisk:
    """The process `name` of the cluster is restarted on a disk of `mib` MiB that holds its data folder."""

    def __init__(self, cluster, name, mib=400):
        if os.geteuid() != 0:
            raise Skip("mounting a small file system needs root")
        self.c, self.name = cluster, name
        self.dir = os.path.join(cluster.dir, name)
        self.image = os.path.join(cluster.scratch, name + ".image")
        self.ballast = os.path.join(self.dir, "ballast")
        self.mounted = False
        cluster.kill(name)
        old = self.dir + ".old"
        os.rename(self.dir, old)
        os.mkdir(self.dir)
        with open(self.image, "wb") as f:
            f.truncate(mib << 20)
        made = shutil.which("mkfs.ext4") and run("mkfs.ext4", "-q", "-F", "-m", "0", self.image, check=False).returncode == 0
        if not made or run("mount", "-o", "loop", self.image, self.dir, check=False).returncode != 0:
            done = run("mount", "-t", "tmpfs", "-o", f"size={mib}m", "none", self.dir, check=False)
            if done.returncode != 0:
                raise Skip("no file system can be mounted: " + done.stderr.decode(errors="replace").strip())
        self.mounted = True
        run("cp", "-a", old + "/.", self.dir)
        shutil.rmtree(old)
        cluster.start(name)

    def free(self):
        st = os.statvfs(self.dir)
        return st.f_bavail * st.f_frsize

    def fill(self, leave=0):
        """Takes all room but `leave` bytes; of what becomes free later nothing."""
        with open(self.ballast, "ab") as f:
            block = 1 << 20
            while block >= 4096:
                if self.free() < leave + block:
                    block //= 2
                    continue
                try:
                    os.posix_fallocate(f.fileno(), os.fstat(f.fileno()).st_size, block)
                except OSError:
                    block //= 2

    def empty(self):
        os.unlink(self.ballast)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self.mounted:
            return
        self.c.cluster("kill", self.name, check=False)
        # Lazily where somebody still looks: it goes with the last one.
        if run("umount", self.dir, check=False).returncode != 0:
            run("umount", "-l", self.dir, check=False)
