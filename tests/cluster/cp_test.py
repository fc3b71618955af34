#!/usr/bin/env python3
"""What cp, touch, rmdir and tree do where it is easy to do otherwise."""
import json, os, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Cluster, main, promise

c = Cluster(disks=6, shards=4)


def tree(name):
    path = os.path.join(c.scratch, name)
    os.makedirs(path, exist_ok=True)
    return path


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


@promise
def one_file_that_may_not_be_read_does_not_stop_the_others():
    here = tree("partly")
    for i in range(40):
        write(os.path.join(here, f"f{i:02}"), b"%d" % i)
    os.chmod(os.path.join(here, "f03"), 0)
    command = [c.binary(), "cp", "-r", "--jobs", "2", here, "skua:/partly"]
    if os.geteuid() == 0:       # root reads everything, unless it lacks these
        less = "-dac_override,-dac_read_search"
        command = ["setpriv", "--bounding-set", less, "--inh-caps", less, *command]
    done = subprocess.run(command, env=c.env, capture_output=True)
    assert done.returncode == 1 and b"f03" in done.stderr, done
    assert len(c.skua("ls", "/partly").stdout.split()) == 39


@promise
def links_keep_their_times_and_replace_those_in_the_way():
    here, out = tree("links"), tree("links-out")
    os.symlink("target", os.path.join(here, "link"))
    os.utime(os.path.join(here, "link"), ns=(10**18 + 1, 10**18 + 2), follow_symlinks=False)
    c.skua("cp", "-r", here, "skua:/links")
    c.skua("cp", "-r", here + "/.", "skua:/links")
    c.skua("cp", "-r", "skua:/links", "skua:/links-2")
    c.skua("cp", "-r", "skua:/links/.", "skua:/links-2")
    c.skua("cp", "-r", "skua:/links-2/.", out)
    back = os.lstat(os.path.join(out, "link"))
    assert os.readlink(os.path.join(out, "link")) == "target" and back.st_mtime_ns == 10**18 + 2, back


@promise
def long_files_of_every_length_around_a_span_come_back_as_they_were():
    here = tree("long")
    piece = os.urandom(1 << 20)
    for mib, more in ((16, -1), (16, 0), (16, 1), (48, 0), (49, 4097), (33, 12345)):
        path = os.path.join(here, f"f-{mib}-{more}")
        with open(path, "wb") as f:
            for i in range(mib + 1):
                f.write(i.to_bytes(8, "little") + piece[8:])
            f.truncate((mib << 20) + more)
    c.skua("cp", "-r", here, "skua:/long", timeout=120)
    c.skua("cp", "-r", "skua:/long", here + "-out", timeout=120)
    assert subprocess.run(["diff", "-r", here, here + "-out"]).returncode == 0


@promise
def a_file_that_shrinks_while_it_is_copied_is_whole_or_not_there():
    path = os.path.join(c.scratch, "shrinks")
    write(path, os.urandom(1 << 20) * 256)
    copy = subprocess.Popen([c.binary(), "cp", path, "skua:/shrinks"], env=c.env, stderr=subprocess.PIPE)
    os.truncate(path, 5 << 20)
    said = copy.communicate(timeout=60)[1]
    there = c.skua("stat", "--json", "/shrinks", check=False)
    if copy.returncode == 0:
        assert json.loads(there.stdout)["size"] in (5 << 20, 256 << 20), there.stdout
    else:
        assert copy.returncode == 1 and b"shrinks" in said and b"copy it again" in said, said
        assert there.returncode == 1, there


@promise
def touch_sets_the_time_that_is_said():
    for text, ns in (("@1700000000.5", 1_700_000_000_500_000_000), ("2024-02-29T00:00:00Z", 1_709_164_800 * 10**9)):
        c.skua("touch", "-d", text, "/touched")
        a = json.loads(c.skua("stat", "--json", "/touched").stdout)
        assert (a["atime_ns"], a["mtime_ns"]) == (ns, ns), a
    assert c.skua("touch", "-d", "yesterday", "/touched", check=False).returncode == 2


@promise
def rmdir_removes_what_is_empty_and_nothing_else():
    c.skua("mkdir", "-p", "/rmdir/below")
    c.skua("put", "/rmdir/file", input=b"")
    for path in ("/rmdir", "/rmdir/file", "/rmdir/none"):
        done = c.skua("rmdir", path, check=False)
        assert done.returncode == 1 and path.encode() in done.stderr, done
    c.skua("rmdir", "/rmdir/below")
    assert c.skua("ls", "/rmdir").stdout == b"file\n"


@promise
def tree_draws_a_screen_unless_asked_for_more():
    here = tree("many")
    for d in range(10):
        os.makedirs(os.path.join(here, f"d{d}"))
        for f in range(50):
            write(os.path.join(here, f"d{d}", f"f{f:02}"), b"")
    c.skua("cp", "-r", here, "skua:/many")
    short = c.skua("tree", "/many").stdout.decode().splitlines()
    assert len(short) < 120 and any("30 more" in line for line in short) and "--all" in short[-1], short
    every = c.skua("tree", "--all", "/many").stdout.decode().splitlines()
    assert len(every) == 1 + 10 + 500 + 2 and every[-1] == "10 directories, 500 files", every[-1]
    assert len(json.loads(c.skua("tree", "--json", "/many").stdout)) == 511


try:
    main()
finally:
    c.close()
