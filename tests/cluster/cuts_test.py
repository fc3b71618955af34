#!/usr/bin/env python3
"""A third of the metadata servers is cut off by the network, both ways and one way, and joined again, while clients work:
leaders move, clients go on within seconds, nobody reads what is old, nothing acknowledged is lost, all converge."""
import os, subprocess, sys, time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), d) for d in ("..", ".")]
from checked import Worker
from harness import LONG, Cluster, main, promise, wait_for
from two_nets import TwoNets

ROUNDS = 10 if LONG else 1
KINDS = ("shard", "cdc", "registry")
CUTS = {
    "both ways": lambda n: n.cut(),
    "towards them": lambda n: n.cut(to_near=False),
    "from them": lambda n: n.cut(to_far=False),
    "unplugged": lambda n: n.unplug(),
}


def leaders(c):
    return {(g["kind"], g["id"]): g["leader"] for g in c.status()["groups"]}


def settled(c):
    def look():
        status = c.status()
        return status["healthy"] and all(
            len(g["members"]) == 3 and all(lag is not None and lag < 100 for lag in g["lag"].values()) for g in status["groups"])
    return wait_for(look, 60, "all members in step")


def lead_far(c):
    """The far server of each kind leads all of the groups that it can; the registry spreads them again later."""
    def moved():
        away = [(kind, number) for (kind, number), leader in leaders(c).items() if leader != kind + "-2"]
        for kind, number in away:
            group = f"{kind}:{number}" if kind == "shard" else kind
            c.skua("admin", "transfer-leader", "--group", group, "--to", kind + "-2", check=False)
        return not away
    wait_for(moved, 30, "leaders on the far side")


@promise
def a_third_is_cut_off_in_every_way_and_nobody_loses_or_waits_long():
    nets = TwoNets()
    with Cluster(disks=6, shards=2, replicas=3) as c:
        nets.move(c, lambda name: name in [k + "-2" for k in KINDS])
        settled(c)
        workers = [Worker(c, n) for n in range(3)]
        for w in workers:
            c.skua("mkdir", w.dir)
            w.start()
        try:
            wait_for(lambda: all(w.done > 3 for w in workers), 60, "work")
            for i in range(ROUNDS):
                for number, (what, cut) in enumerate(CUTS.items()):
                    lead_far(c)
                    old, new = f"old-{i}-{what}".encode(), f"new-{i}-{what}".encode()
                    c.skua("put", "/seen", input=old)
                    started = time.monotonic()
                    cut(nets)
                    c.skua("put", "/seen", input=new)           # shard 0
                    wrote = time.monotonic() - started
                    c.skua("mkdir", f"/cut-{i}-{number}")       # the coordinator
                    made = time.monotonic() - started
                    # Who is on the wrong side gets no answer, or the new one: never what was true before.
                    try:
                        got = nets.far(c.binary(), "cat", "/seen", env=c.env, check=False, timeout=3).stdout
                        assert got in (b"", new), f"{what}: read {got} after {new} was acknowledged"
                    except subprocess.TimeoutExpired:
                        pass
                    before = [w.done for w in workers]
                    wait_for(lambda: all(w.done > b + 2 for w, b in zip(workers, before)), 60, "work on this side")
                    wait_for(lambda: all(leader and not leader.endswith("-2") for leader in leaders(c).values()), 15,
                             "leaders on this side")
                    nets.plug()
                    joined = time.monotonic()
                    settled(c)
                    print(f"{what}: cut to written {wrote:.1f} s, to mkdir {made:.1f} s; joined to all in step "
                          f"{time.monotonic() - joined:.1f} s", flush=True)
                    assert made < 10, f"{what}: {wrote:.1f} s and {made:.1f} s"
        finally:
            nets.plug()
            for w in workers:
                w.stop = True
            for w in workers:
                w.join()
        settled(c)
        for w in workers:
            w.check()
        print(f"operations={sum(w.done for w in workers)} uncertain={sum(w.uncertain for w in workers)} "
              f"longest={max(w.longest for w in workers):.1f} s")
        assert b"no problems" in c.skua("admin", "fsck").stdout
        # The far side has all of it: with one of the others away it is in every majority.
        for kind in KINDS:
            c.kill(kind + "-0")
        assert c.skua("cat", "/seen").stdout == new
        for w in workers:
            w.check()


main()
