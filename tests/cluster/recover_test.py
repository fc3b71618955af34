#!/usr/bin/env python3
"""Groups that lost their majority for good go on with one copy, by a human's word."""
import os, shutil, signal, sys
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import Cluster, main, promise, wait_for

HOSTS = [f"{kind}-{i}" for kind in ("registry", "cdc", "shard") for i in range(3)]


def settled(c):
    def look():
        status = c.status()
        return status["healthy"] and all(len(g["members"]) == 3 and g["learners"] == 0 for g in status["groups"])
    return wait_for(look, 60, "all members in step")


@promise
def groups_of_every_kind_go_on_with_one_copy_and_grow_again():
    with Cluster(disks=6, shards=2, replicas=3) as c:
        settled(c)
        c.skua("mkdir", "/d")
        for i in range(20):
            c.skua("put", f"/d/{i}", input=b"%d" % i)
        refused = c.skua("admin", "recover-group", "shard:0", "--keep", "shard-0", check=False)
        assert refused.returncode == 1 and (b"leads" in refused.stderr or b"are there" in refused.stderr), refused.stderr
        lost = [n for n in HOSTS if not n.endswith("-1")]
        for name in lost:
            c.kill(name)
            shutil.rmtree(os.path.join(c.dir, name))
        said = c.skua("admin", "recover-group", "registry", "--keep", "registry-1", timeout=60).stdout
        assert b"skua admin replace-server registry-0" in said, said
        for group in ("cdc", "shard:0", "shard:1"):
            c.skua("admin", "recover-group", group, "--keep", ("cdc" if group == "cdc" else "shard") + "-1", timeout=60)
        for i in range(20):
            assert c.skua("cat", f"/d/{i}").stdout == b"%d" % i
        c.skua("mkdir", "/e")
        for name in lost:
            c.skua("admin", "replace-server", name, timeout=60)
        settled(c)
        for name in HOSTS:
            if name.endswith("-1"):
                c.kill(name) # the new ones have it all
        c.skua("put", "/e/f", input=b"x", timeout=60)
        assert c.skua("cat", "/d/7").stdout == b"7" and c.skua("cat", "/e/f").stdout == b"x"
        assert c.skua("admin", "fsck").stdout == b"no problems found\n"


@promise
def a_copy_that_was_left_behind_is_never_let_in_again():
    with Cluster(disks=6, shards=1, replicas=3) as c:
        settled(c)
        c.skua("put", "/f", input=b"1")
        for name in ("shard-0", "shard-2"):
            c.kill(name)
        c.skua("admin", "recover-group", "shard:0", "--keep", "shard-1", timeout=60)
        c.skua("put", "/g", input=b"2")
        c.cluster("start", "shard-0", check=False)
        wait_for(lambda: "must never be served again" in c.log("shard-0"), 20, "the old copy to end")
        assert c.skua("cat", "/g").stdout == b"2"
        c.skua("admin", "replace-server", "shard-0", timeout=60)
        c.skua("admin", "replace-server", "shard-2", timeout=60)
        settled(c)
        c.kill("shard-1")
        assert c.skua("cat", "/f", timeout=30).stdout == b"1" and c.skua("cat", "/g", timeout=30).stdout == b"2"


@promise
def members_that_only_slept_while_the_group_went_on_without_them_end_and_take_nothing_back():
    with Cluster(disks=6, shards=1, replicas=3) as c:
        settled(c)
        c.skua("put", "/f", input=b"1")
        slept = [n for n in HOSTS if n.startswith("shard") and n != "shard-1"]
        for name in slept:
            os.kill(c.pid(name), signal.SIGSTOP)
        c.skua("admin", "recover-group", "shard:0", "--keep", "shard-1", timeout=60)
        c.skua("put", "/g", input=b"2", timeout=60)
        for name in slept:
            os.kill(c.pid(name), signal.SIGCONT)
        for name in slept:
            wait_for(lambda: "must never be served again" in c.log(name) or "a newer process has the name" in c.log(name), 20,
                     name + " to end")
        assert c.skua("cat", "/g", timeout=60).stdout == b"2" and c.skua("cat", "/f", timeout=60).stdout == b"1"
        assert c.skua("admin", "fsck").stdout == b"no problems found\n"


if __name__ == "__main__":
    main()
