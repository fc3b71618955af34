"""For tests with cut networks: TwoNets puts this process and all that it starts into a network namespace of its own, and makes
a second one, `far`, beside it, joined by a pair of virtual Ethernet ends (10.77.0.1 here, 10.77.0.2 there). Nothing outside sees
any of it, and all of it ends with the processes. As root, or where users may make namespaces; Skip says why not.

    nets = TwoNets()
    nets.move(cluster, lambda name: name.endswith("-2"))    # these servers run in `far`, the others here; all are restarted
    nets.cut(to_far=True, to_near=True); nets.join()        # packets vanish silently, both ways or one
    nets.unplug(); nets.plug()                              # the cable: both ends know at once
"""
import atexit, ctypes, os, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Skip, run, wait_for

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
NEAR, FAR = "10.77.0.1", "10.77.0.2"
NOBODY = "02:00:00:00:00:99"    # an Ethernet address that neither end has


def unshare():
    libc = ctypes.CDLL(None, use_errno=True)
    flags = CLONE_NEWNET
    uid, gid = os.getuid(), os.getgid()
    if uid != 0:
        flags |= CLONE_NEWUSER
    if libc.unshare(flags) != 0:
        raise Skip("no network namespace can be made here: " + os.strerror(ctypes.get_errno()))
    if uid != 0:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w") as f:
                f.write(text)


class TwoNets:
    def __init__(self):
        unshare()
        self.far_side = subprocess.Popen(["unshare", "-n", "sleep", "infinity"])
        atexit.register(self.close)
        self.pid = self.far_side.pid
        wait_for(lambda: os.readlink(f"/proc/{self.pid}/ns/net") != os.readlink("/proc/self/ns/net"), 5, "the far namespace")
        made = run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(self.pid), check=False)
        if made.returncode != 0:
            raise Skip("no pair of virtual Ethernet ends: " + made.stderr.decode(errors="replace").strip())
        run("ip", "link", "set", "lo", "up")
        self.far("ip", "link", "set", "lo", "up")
        run("ip", "addr", "add", NEAR + "/24", "dev", "near")
        self.far("ip", "addr", "add", FAR + "/24", "dev", "far")
        self.plug()

    def far(self, *command, **kw):
        return run("nsenter", "-t", str(self.pid), "-n", *command, **kw)

    def mac(self, end, far=False):
        text = (self.far if far else run)("ip", "-o", "link", "show", end).stdout.decode()
        return text.split("link/ether ")[1].split()[0]

    def move(self, c, is_far):
        """Restarts every server of the cluster: at a port of its own on this or on the far side."""
        names = sorted(n[:-4] for n in os.listdir(f"{c.dir}/run") if n.endswith(".cmd"))
        for name in names:
            c.kill(name)
        for port, name in enumerate(names, 7100):
            path = f"{c.dir}/run/{name}.cmd"
            with open(path) as f:
                words = f.read().splitlines()
            at = words.index("--listen")
            words[at:at + 2] = [f"--listen={FAR if is_far(name) else NEAR}:{port}"]
            with open(path, "w") as f:
                f.write("\n".join(words) + "\n")
        self.is_far = is_far
        for name in sorted(names, key=lambda n: not n.startswith("registry")):
            self.start(c, name)

    def start(self, c, name):
        if self.is_far(name):
            self.far(c.binary(), "cluster", "start", "--dir", c.dir, name, env=c.env)
        else:
            c.start(name)

    def neighbour(self, good, far):
        mac = self.mac("near") if far else self.mac("far", far=True)
        (self.far if far else run)("ip", "neigh", "replace", NEAR if far else FAR, "lladdr", mac if good else NOBODY,
                                   "dev", "far" if far else "near", "nud", "permanent")

    def cut(self, to_far=True, to_near=True):
        """Packets in that direction go to nobody."""
        if to_far:
            self.neighbour(False, far=False)
        if to_near:
            self.neighbour(False, far=True)

    def join(self):
        self.neighbour(True, far=False)
        self.neighbour(True, far=True)

    def unplug(self):
        run("ip", "link", "set", "near", "down")

    def plug(self):
        run("ip", "link", "set", "near", "up")
        self.far("ip", "link", "set", "far", "up")
        self.join()

    def close(self):
        if self.far_side.poll() is None:
            self.far_side.kill()
            self.far_side.wait()
