#!/usr/bin/env python3
"""kill -9 of every kind of process under a checked workload: what was acknowledged is there, the rest is whole or absent."""
import os, random, subprocess, sys, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import LONG, Cluster, main, promise

SECONDS = 600 if LONG else 40


class Worker(threading.Thread):
    """Writes, replaces, renames and deletes files of its own directory, and remembers what was acknowledged."""

    def __init__(self, cluster, number):
        super().__init__()
        self.c, self.number, self.rng = cluster, number, random.Random(number)
        self.dir = f"/w{number}"
        self.known = {}         # name -> the possible contents: one if acknowledged, several if uncertain; None is absent
        self.stop, self.done, self.uncertain = False, 0, 0

    def attempt(self, *command, input=None):
        try:
            return self.c.skua(*command, input=input, check=False, timeout=150).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def run(self):
        while not self.stop:
            name = f"f{self.rng.randrange(12)}"
            old = self.known.get(name, {None})
            what = self.rng.random()
            if what < 0.6:
                data = self.rng.randbytes(self.rng.choice([10, 4096, 5000, 200_000, 1_500_000]))
                fine = self.attempt("put", f"{self.dir}/{name}", input=data)
                self.known[name] = {data} if fine else old | {data}
            elif what < 0.8:
                fine = self.attempt("rm", f"{self.dir}/{name}")
                if fine or old != {None}:
                    self.known[name] = {None} if fine else old | {None}
            else:
                other = f"f{self.rng.randrange(12)}"
                if other == name or old == {None} or None in old or len(old) > 1:
                    continue
                if self.attempt("mv", f"{self.dir}/{name}", f"{self.dir}/{other}"):
                    self.known[name], self.known[other] = {None}, old
                else:
                    self.known[name] = old | {None}
                    self.known[other] = self.known.get(other, {None}) | old
            self.done += 1
            self.uncertain += len(self.known.get(name, {None})) > 1

    def check(self):
        for name, possible in sorted(self.known.items()):
            got = self.c.skua("cat", f"{self.dir}/{name}", check=False, timeout=150)
            data = got.stdout if got.returncode == 0 else None
            if got.returncode != 0:
                assert b"no such file" in got.stderr, got.stderr.decode(errors="replace")
            assert data in possible, f"{self.dir}/{name}: {None if data is None else len(data)} bytes, possible are {[p and len(p) for p in possible]}"


@promise
def kill_9_of_each_kind_under_load_loses_nothing_acknowledged():
    seed = int(os.environ.get("SEED", "1"))
    print(f"seed={seed}")
    rng = random.Random(seed)
    with Cluster(disks=8) as c:
        workers = [Worker(c, n) for n in range(3)]
        for w in workers:
            c.skua("mkdir", w.dir)
            w.start()
        kills = 0
        end = time.monotonic() + SECONDS
        try:
            while time.monotonic() < end:
                name = rng.choice(["shard-0", "cdc-0", "registry-0", f"blocks-{rng.randrange(8)}", "shard-0"])
                c.kill(name)
                kills += 1
                time.sleep(rng.random() * 0.5)          # the fault's own length, drawn from the seed
                c.start(name)
                time.sleep(rng.random())
        finally:
            for w in workers:
                w.stop = True
            for w in workers:
                w.join()
        for w in workers:
            w.check()
        print(f"kills={kills} operations={sum(w.done for w in workers)} uncertain={sum(w.uncertain for w in workers)}")
        assert sum(w.done for w in workers) > 20


main()
