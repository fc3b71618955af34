#!/usr/bin/env python3
"""`skua admin fsck` while clients make, link, move and remove names across shards: what is under way is no problem."""
import os, random, sys, threading

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), d) for d in ("..", ".")]
from harness import LONG, Cluster, main, promise, wait_for

LOOKS = 60 if LONG else 5


class Mover(threading.Thread):
    """Directories, files and links, made, moved between directories, and removed."""

    def __init__(self, cluster, number):
        super().__init__()
        self.c, self.rng, self.home = cluster, random.Random(number), f"/m{number}"
        self.stop, self.done = False, 0

    def run(self):
        names = [f"{self.home}/{n}" for n in range(5)]
        while not self.stop:
            a, b = self.rng.sample(names, 2)
            command = self.rng.choice([("mkdir", f"{a}/d"), ("rmdir", f"{a}/d"), ("mv", f"{a}/d", f"{b}/d"), ("touch", f"{a}/f"),
                                       ("ln", f"{a}/f", f"{b}/l{self.rng.randrange(4)}"), ("mv", f"{a}/f", f"{b}/f"),
                                       ("rm", f"{a}/l{self.rng.randrange(4)}")])
            self.done += self.c.skua(*command, check=False).returncode == 0


@promise
def a_check_of_all_metadata_while_clients_work_finds_no_problem_where_there_is_none():
    with Cluster(disks=6, shards=4, replicas=1) as c:
        movers = [Mover(c, n) for n in range(3)]
        for m in movers:
            c.skua("mkdir", m.home, *(f"{m.home}/{n}" for n in range(5)))
            m.start()
        try:
            wait_for(lambda: all(m.done > 10 for m in movers), 60, "work")
            for _ in range(LOOKS):
                before = [m.done for m in movers]
                assert b"no problems" in c.skua("admin", "fsck").stdout
                wait_for(lambda: all(m.done > b + 5 for m, b in zip(movers, before)), 60, "work that goes on")
        finally:
            for m in movers:
                m.stop = True
            for m in movers:
                m.join()
        print(f"operations={sum(m.done for m in movers)}")
        assert b"no problems" in c.skua("admin", "fsck").stdout


main()
