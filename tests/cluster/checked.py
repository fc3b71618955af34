"""A checked workload for tests with faults: Worker writes, replaces, renames and deletes files of a directory of its own and
remembers what was acknowledged; check() finds every acknowledged operation there, once, and uncertain ones whole or absent."""
import random, subprocess, threading, time


class Worker(threading.Thread):
    """Writes, replaces, renames and deletes files of its own directory, and remembers what was acknowledged."""

    def __init__(self, cluster, number, known=None):
        super().__init__()
        self.c, self.number, self.rng = cluster, number, random.Random(number)
        self.dir = f"/w{number}"
        self.known = {} if known is None else known     # name -> the possible contents: one if acknowledged, several if uncertain; None is absent
        self.stop, self.done, self.uncertain, self.longest = False, 0, 0, 0.0

    def attempt(self, *command, input=None):
        started = time.monotonic()
        try:
            return self.c.skua(*command, input=input, check=False, timeout=150).returncode == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            self.longest = max(self.longest, time.monotonic() - started)

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
