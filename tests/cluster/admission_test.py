#!/usr/bin/env python3
"""Too much is asked: who asks it is told to come again, nothing is lost by it, and others go on."""
import json, os, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Cluster, main, promise, wait_for


def bench(c, *args):
    return json.loads(c.skua("bench", "meta", "--json", *args).stdout)


def requests(c):
    """Of all metadata servers together."""
    total = {}
    for server in c.status()["servers"]:
        for name, count in server.get("requests", {}).items():
            total[name] = total.get(name, 0) + count
    return total


@promise
def a_lone_client_goes_on_beside_a_client_that_floods():
    with Cluster(disks=4, shards=1, replicas=3) as c:
        lone = ("--op", "create", "--in-flight", 1, "--size", 100, "--seconds", 2)
        alone = bench(c, *lone)
        before = requests(c)
        flood = [subprocess.Popen([c.binary(), "bench", "meta", "--op", "create", "--in-flight", "1024", "--size", "100",
                                   "--seconds", "8", "--json"], stdout=subprocess.PIPE, env=c.env) for _ in range(2)]
        try:
            wait_for(lambda: requests(c)["admitted"] > before["admitted"] + 5000, 30, "the flood")
            beside = bench(c, *lone)
            assert all(f.poll() is None for f in flood), "the flood has ended too soon to say anything"
            made = [json.loads(f.communicate()[0]) for f in flood]
        finally:
            for f in flood:
                if f.poll() is None:
                    f.kill()
        after = requests(c)
        print(f"lone creates: alone {alone['p50_us']:.0f} us, longest {alone['max_us']:.0f}; beside floods of 1,024 "
              f"{beside['p50_us']:.0f} us, longest {beside['max_us']:.0f}; floods {[round(m['ops_per_s']) for m in made]}/s, "
              f"p50 {[round(m['p50_us']) for m in made]} us; refused {after['refused'] - before['refused']}")
        assert after["refused"] > before["refused"], (before, after)
        assert all(m["ops"] > 0 and f.returncode == 0 for m, f in zip(made, flood)), "Busy is not an error of anybody"
        assert beside["ops"] > 20, beside
        assert beside["p50_us"] * 2 < min(m["p50_us"] for m in made), "the lone client waits for itself, not for the flood"
        assert beside["max_us"] < 2_000_000, beside
        assert b"no problems" in c.skua("admin", "fsck").stdout


@promise
def one_name_that_many_look_up_at_once_is_looked_up_less_often():
    with Cluster(disks=4, shards=1) as c:
        before = requests(c)
        bench(c, "--op", "stat", "--in-flight", 256, "--seconds", 2)
        after = requests(c)
        admitted, joined = (after[k] - before[k] for k in ("admitted", "joined"))
        print(f"{admitted} admitted, {joined} of them joined another one")
        assert joined * 2 > admitted, (before, after)
        assert after["waiting"] == 0, after


if __name__ == "__main__":
    main()
