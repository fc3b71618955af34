#!/usr/bin/env python3
"""kill -9 of every kind of process under a checked workload: what was acknowledged is there, the rest is whole or absent."""
import os, random, sys, time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), d) for d in ("..", ".")]
from checked import Worker
from harness import LONG, Cluster, main, promise

SECONDS = 600 if LONG else 40


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
