"""For tests in Python: named promises, and real clusters of real processes.

    @promise
    def what_is_promised(): ...          # raise or assert to fail; raise Skip("why") to skip
    main()                               # runs all, or those named on the command line

    with Cluster(disks=8) as c:          # `skua cluster up` in a directory of its own; down and gone afterwards
        c.skua("put", "/a", input=b"x")  # runs build/.../skua with this cluster's configuration
        m = c.mount()                    # a mounted path; unmounted by down

Nothing sleeps for a fixed time: wait_for(condition, seconds) polls.
"""
import json, os, shutil, signal, subprocess, sys, tempfile, time, traceback

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("SKUA_BUILD") or os.path.join(ROOT, "build/release")
LONG = bool(os.environ.get("SKUA_LONG"))
_promises = []
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in `make test &` of a script: what we start would never hear it
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Skip(Exception):
    pass


def promise(f):
    _promises.append(f)
    return f


def main():
    wanted = sys.argv[1:]
    failed = 0
    for f in _promises:
        if wanted and f.__name__ not in wanted:
            continue
        started = time.monotonic()
        try:
            f()
            print(f"ok {f.__name__} {time.monotonic() - started:.1f} s", flush=True)
        except Skip as e:
            print(f"skip {f.__name__}: {e}", flush=True)
        except BaseException as e:
            failed += 1
            traceback.print_exc(file=sys.stdout)
            print(f"FAIL {f.__name__}: {str(e)[:2000]}", flush=True)
            if isinstance(e, KeyboardInterrupt):
                break
    sys.exit(1 if failed else 0)


def wait_for(condition, seconds=30, what="the condition"):
    """Polls until condition() is true; its last value is returned."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come within {seconds} s")
        time.sleep(0.05)


def run(*command, input=None, check=True, timeout=120, cwd=None, env=None):
    """Runs a program; returns CompletedProcess with bytes. A failure shows both streams."""
    done = subprocess.run(command, input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, cwd=cwd, env=env)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} ended {done.returncode}\n{done.stdout.decode(errors='replace')[-2000:]}"
                             f"\n{done.stderr.decode(errors='replace')[-3000:]}")
    return done


def can_mount():
    return os.path.exists("/dev/fuse") and os.access("/dev/fuse", os.R_OK | os.W_OK)


def require_mount():
    if can_mount():
        return
    if os.environ.get("SKUA_REQUIRE_MOUNT"):
        raise AssertionError("SKUA_REQUIRE_MOUNT is set and /dev/fuse cannot be used here")
    raise Skip("no usable /dev/fuse")


class Cluster:
    def __init__(self, disks=8, shards=4, replicas=1, directory=None, up=True, options=()):
        self.scratch = directory or tempfile.mkdtemp(prefix="skua-test-")
        self.own = directory is None
        self.dir = os.path.join(self.scratch, "cluster")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("SKUA_")}
        self.env["SKUA_CONFIG"] = os.path.join(self.dir, "skua.conf")
        self.disks, self.shards, self.replicas, self.options = disks, shards, replicas, list(options)
        self.mounted = None
        if up:
            try:
                self.up()
            except BaseException:
                self.close(keep=True)
                raise

    def binary(self, name="skua"):
        return os.path.join(BUILD, name)

    def skua(self, *args, input=None, check=True, timeout=120):
        return run(self.binary(), *map(str, args), input=input, check=check, timeout=timeout, env=self.env)

    def cluster(self, *args, **kw):
        return self.skua("cluster", args[0], "--dir", self.dir, *args[1:], **kw)

    def up(self, *extra):
        return self.cluster("up", "--disks", self.disks, "--shards", self.shards, "--replicas", self.replicas, *self.options, *extra, timeout=90)

    def status(self):
        return json.loads(self.skua("status", "--json").stdout)

    def pid(self, name):
        return int(open(os.path.join(self.dir, "run", name + ".pid")).read().split()[0])

    def kill(self, name):
        return self.cluster("kill", name)

    def start(self, name):
        return self.cluster("start", name)

    def log(self, name):
        with open(os.path.join(self.dir, "logs", name + ".log"), errors="replace") as f:
            return f.read()

    def mount(self, *options):
        require_mount()
        self.mounted = os.path.join(self.scratch, "mnt")
        os.makedirs(self.mounted, exist_ok=True)
        self.skua("mount", self.mounted, *options)
        return self.mounted

    def unmount(self):
        if self.mounted:
            self.skua("umount", self.mounted)
            self.mounted = None

    def close(self, keep=False):
        try:
            if os.path.isdir(self.dir):
                if self.mounted:
                    self.skua("umount", self.mounted, check=False)
                self.cluster("down", "--force", check=False, timeout=60)
        finally:
            if keep:
                for name in sorted(os.listdir(os.path.join(self.dir, "logs"))) if os.path.isdir(os.path.join(self.dir, "logs")) else []:
                    print(f"--- {name}\n" + "\n".join(self.log(name[:-4]).splitlines()[-8:]), flush=True)
            if self.own:
                shutil.rmtree(self.scratch, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close(keep=kind is not None)
