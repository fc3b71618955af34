#!/usr/bin/env python3
"""What users of `skua` expect and seldom say: exit codes, messages, cp's rules, processes that come and go."""
import fcntl, json, os, random, shutil, signal, stat, subprocess, sys, tempfile, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Cluster, main, promise, run, wait_for

shared = None


def cluster():
    """One cluster for all promises that only use it."""
    global shared
    if shared is None:
        shared = Cluster(disks=6, shards=4)
    return shared


def scratch(name):
    path = os.path.join(cluster().scratch, name)
    os.makedirs(path, exist_ok=True)
    return path


def succeeds(f):
    try:
        return f()
    except OSError:
        return False


def write(path, data=b"x"):
    with open(path, "wb") as f:
        f.write(data)
    return path


def read(path):
    with open(path, "rb") as f:
        return f.read()


@promise
def up_again_changes_nothing_and_keeps_the_data():
    with Cluster(disks=3, shards=2) as c:
        c.skua("put", "/kept", input=b"kept")
        before = {n: c.pid(n) for n in ("registry-0", "cdc-0", "shard-0", "blocks-2")}
        c.up()
        assert before == {n: c.pid(n) for n in before}
        c.cluster("down")
        assert not [n for n in os.listdir(os.path.join(c.dir, "run")) if n.endswith(".pid")]
        c.up()
        assert c.skua("cat", "/kept").stdout == b"kept"
        lines = c.up().stdout.decode().splitlines()
        assert len(lines) == 5 and lines[1].strip().startswith("export SKUA_CONFIG="), lines


@promise
def a_directory_in_use_is_refused_with_the_holders_pid():
    with Cluster(disks=3, shards=2) as c:
        with open(os.path.join(c.dir, "LOCK"), "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.seek(0)
            lock.truncate()
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            done = c.cluster("up", check=False)
            assert done.returncode == 1 and str(os.getpid()).encode() in done.stderr, done.stderr


@promise
def a_reused_pid_is_never_killed():
    with Cluster(disks=3, shards=2) as c:
        c.kill("blocks-0")
        innocent = subprocess.Popen(["sleep", "100"])
        try:
            with open(os.path.join(c.dir, "run", "blocks-0.pid"), "w") as f:
                f.write(f"{innocent.pid} 1\n")
            assert c.cluster("kill", "blocks-0", check=False).returncode == 1
            c.cluster("down")
            assert innocent.poll() is None
        finally:
            innocent.kill()
            innocent.wait()


@promise
def a_registry_whose_port_was_taken_gets_another_and_everybody_finds_it():
    import socket
    with Cluster(disks=3, shards=2) as c:
        c.skua("put", "/f", input=b"f")
        address = lambda: open(os.path.join(c.dir, "run", "registry-0.addr")).read().strip()
        before = address()
        c.kill("registry-0")
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            take = lambda: not s.bind(("127.0.0.1", int(before.rsplit(":", 1)[1])))
            wait_for(lambda: succeeds(take), 10, "the killed registry's port")
            s.listen()
            c.start("registry-0")
            assert address() != before
            assert c.skua("cat", "/f").stdout == b"f"
            wait_for(lambda: all(x["up"] for x in c.status()["servers"]), 30, "all servers at the new address")
            c.skua("put", "/g", input=b"g" * 100_000)


@promise
def a_process_that_died_is_shown_with_its_last_line():
    with Cluster(disks=3, shards=2) as c:
        c.kill("blocks-1")
        done = c.cluster("status", check=False)
        assert done.returncode == 1 and b"blocks-1" in done.stdout and b"ended" in done.stdout, done.stdout
        assert b"blocks-1 has ended" in c.skua("status").stdout
        done = c.cluster("kill", "blocks-9", check=False)
        assert done.returncode == 1 and b"cluster status" in done.stderr, done.stderr
        assert c.cluster("logs", "blocks-1", "-n", "1").stdout.strip()


@promise
def status_names_groups_servers_disks_and_space():
    s = cluster().status()
    assert {(g["kind"], g["id"]) for g in s["groups"]} == {("registry", 0), ("cdc", 0), *(("shard", i) for i in range(4))}, s["groups"]
    for g in s["groups"]:
        assert g["leader"] in g["members"] and g["term"] >= 1, g
    assert {d["server"] for d in s["disks"]} == {f"blocks-{i}" for i in range(6)}
    assert s["space"]["capacity"] > 0 and s["healthy"]


@promise
def exit_codes_are_0_1_and_2():
    c = cluster()
    assert c.skua("--help").returncode == 0
    assert c.skua("ls", "--help").stdout.count(b"Example") == 1
    assert b"protocol" in c.skua("--version").stdout
    for wrong in (["cp", "a", "b"], ["cp", "skua:/x"], ["ls", "relative"], ["policy", "set", "/", "scheme=banana"], ["cluster"], ["bench", "meta", "--op", "dance"],
                  ["chmod", "u+q", "/"], ["cluster", "up", "--set", "colour=red"], []):
        done = c.skua(*wrong, check=False)
        assert done.returncode == 2, (wrong, done)
    for failing in (["cat", "/none"], ["stat", "/none"], ["mv", "/none", "/other"], ["rm", "/none"], ["cp", "skua:/none", "/tmp/none"], ["cp", "/no/such/file", "skua:/x"]):
        done = c.skua(*failing, check=False)
        assert done.returncode == 1 and (b"none" in done.stderr or b"/no/such/file" in done.stderr), (failing, done)
    assert c.skua("rm", "-f", "/none").returncode == 0


@promise
def every_json_is_json():
    c = cluster()
    c.skua("mkdir", "-p", "/json/d")
    c.skua("put", "/json/f", input=b"12345")
    for command in (["ls", "/json"], ["stat", "/json/f"], ["tree", "/json"], ["find", "/json"], ["du", "/json"], ["df"], ["status"], ["versions", "/json/f"], ["policy", "get", "/json"],
                    ["admin", "servers"], ["cluster", "status", "--dir", c.dir], ["xattr", "list", "/json/f"], ["bench", "meta", "--seconds", "0.1"]):
        json.loads(c.skua(*command, "--json").stdout)
    assert json.loads(c.skua("stat", "/json/f", "--json").stdout)["size"] == 5


@promise
def cp_follows_cp_about_existing_directories():
    c = cluster()
    here = scratch("cp")
    write(os.path.join(here, "a"), b"a")
    write(os.path.join(here, "b"), b"b")
    c.skua("mkdir", "/cp")
    c.skua("cp", os.path.join(here, "a"), "skua:/cp")               # into
    c.skua("cp", os.path.join(here, "a"), "skua:/cp/renamed")       # as
    c.skua("cp", os.path.join(here, "a"), os.path.join(here, "b"), "skua:/cp/")
    assert c.skua("ls", "/cp").stdout.split() == [b"a", b"b", b"renamed"]
    done = c.skua("cp", os.path.join(here, "a"), os.path.join(here, "b"), "skua:/cp/a", check=False)
    assert done.returncode == 1 and b"not a directory" in done.stderr, done.stderr
    done = c.skua("cp", here, "skua:/cp/tree", check=False)
    assert done.returncode == 1 and b"-r" in done.stderr, done.stderr
    c.skua("cp", "-r", here, "skua:/cp/tree")                       # new: it is the copy
    c.skua("cp", "-r", here, "skua:/cp/tree")                       # there: into it
    assert c.skua("ls", "/cp/tree").stdout.split() == [b"a", b"b", b"cp"]
    c.skua("cp", "-r", here + "/.", "skua:/cp/contents")
    assert c.skua("ls", "/cp/contents").stdout.split() == [b"a", b"b"]
    out = scratch("cp-out")
    c.skua("cp", "skua:/cp/a", "skua:/cp/b", out)
    assert sorted(os.listdir(out)) == ["a", "b"]
    c.skua("cp", "-r", "skua:/cp", "skua:/cp-2")
    assert c.skua("cat", "/cp-2/tree/cp/b").stdout == b"b"
    assert c.skua("cp", "-r", "skua:/cp", "skua:/cp/inside", check=False).returncode == 1


@promise
def modes_times_links_holes_and_special_targets_survive():
    c = cluster()
    here = scratch("keep")
    f = write(os.path.join(here, "file"), os.urandom(300_000))
    os.chmod(f, 0o751)
    os.symlink("file", os.path.join(here, "link"))
    os.mkfifo(os.path.join(here, "fifo"))
    sparse = os.path.join(here, "sparse")
    with open(sparse, "wb") as s:
        s.seek(64 << 20)
        s.write(b"end")
        s.truncate(128 << 20)
    os.utime(f, ns=(1_500_000_000_123_456_789, 1_400_000_000_987_654_321))
    os.makedirs(os.path.join(here, "dir"))
    os.utime(os.path.join(here, "dir"), ns=(10**18, 10**18))
    c.skua("cp", "-r", "--verify", here, "skua:/keep")
    out = os.path.join(cluster().scratch, "keep-out")
    c.skua("cp", "-r", "--verify", "skua:/keep", out)
    back = os.stat(os.path.join(out, "file"))
    assert stat.S_IMODE(back.st_mode) == 0o751 and back.st_mtime_ns == 1_400_000_000_987_654_321
    assert os.stat(os.path.join(out, "dir")).st_mtime_ns == 10**18
    assert os.readlink(os.path.join(out, "link")) == "file"
    assert stat.S_ISFIFO(os.stat(os.path.join(out, "fifo")).st_mode)
    assert read(os.path.join(out, "file")) == read(f)
    assert run("cmp", sparse, os.path.join(out, "sparse")).returncode == 0
    assert os.stat(os.path.join(out, "sparse")).st_blocks < 1000
    c.skua("cp", "skua:/keep/file", "/dev/null")
    assert c.skua("cp", "skua:/keep/file", "-").stdout == read(f)
    assert c.skua("cp", "skua:/keep/link", os.path.join(here, "followed")).returncode == 0
    assert read(os.path.join(here, "followed")) == read(f)
    c.skua("cp", "-", "skua:/keep/stdin", input=b"from stdin")
    assert c.skua("cat", "/keep/stdin").stdout == b"from stdin"
    pipe = os.path.join(here, "out-pipe")
    os.mkfifo(pipe)
    got = []
    reader = threading.Thread(target=lambda: got.append(read(pipe)))
    reader.start()
    c.skua("cp", "skua:/keep/file", pipe)
    reader.join(20)
    assert got == [read(f)] and stat.S_ISFIFO(os.stat(pipe).st_mode)


@promise
def cp_goes_on_after_an_error_and_lists_it():
    c = cluster()
    here = scratch("partly")
    for i in range(20):
        write(os.path.join(here, f"f{i:02}"), b"%d" % i)
    c.skua("mkdir", "-p", "/partly/f07")                            # in the way of a file
    done = c.skua("cp", "-r", here + "/.", "skua:/partly", check=False)
    assert done.returncode == 1 and b"/partly/f07" in done.stderr, done.stderr
    assert len(c.skua("ls", "/partly").stdout.split()) == 20
    assert c.skua("cat", "/partly/f19").stdout == b"19"


@promise
def update_copies_only_what_is_missing_or_changed():
    c = cluster()
    here = scratch("update")
    for i in range(10):
        write(os.path.join(here, str(i)), os.urandom(10_000))
    c.skua("cp", "-r", here, "skua:/update")
    write(os.path.join(here, "3"), b"changed")
    write(os.path.join(here, "new"), b"new")
    done = json.loads(c.skua("cp", "-r", "--update", "--json", here + "/.", "skua:/update").stdout)
    assert done["files"] == 2 and done["skipped"] == 9, done
    assert c.skua("cat", "/update/3").stdout == b"changed"
    out = os.path.join(c.scratch, "update-out")
    c.skua("cp", "-r", "skua:/update", out)
    again = json.loads(c.skua("cp", "-r", "--update", "--json", "skua:/update/.", out).stdout)
    assert again["files"] == 0 and again["skipped"] == 11, again


@promise
def an_interrupted_copy_leaves_no_name_and_ends_130():
    c = cluster()
    here = scratch("interrupted")
    reading = subprocess.Popen([c.binary(), "cp", "-", "skua:/interrupted"], stdin=subprocess.PIPE, env=c.env)
    reading.stdin.write(b"half of it" * 100_000)
    reading.stdin.flush()
    reading.send_signal(signal.SIGINT)
    assert reading.wait(20) == 130
    assert c.skua("stat", "/interrupted", check=False).returncode == 1
    big = write(os.path.join(here, "big"), os.urandom(64 << 20))
    c.skua("cp", big, "skua:/big")
    out = os.path.join(here, "out")
    for attempt in range(20):
        copying = subprocess.Popen([c.binary(), "cp", "skua:/big", out], env=c.env)
        while copying.poll() is None and not [n for n in os.listdir(here) if n.startswith(".out.skua-")]:
            pass
        copying.send_signal(signal.SIGINT)
        if copying.wait(20) == 130:
            break
    assert copying.returncode == 130
    assert not [n for n in os.listdir(here) if ".skua-" in n], os.listdir(here)


@promise
def a_reader_that_has_enough_is_no_error_message():
    c = cluster()
    c.skua("put", "/long", input=b"line\n" * 2_000_000)
    done = run("sh", "-c", f"'{c.binary()}' cat /long | head -n 1", env=c.env)
    assert done.stdout == b"line\n" and done.stderr == b"", done.stderr


@promise
def names_move_link_and_change_as_their_namesakes_do():
    c = cluster()
    c.skua("mkdir", "-p", "/names/d")
    c.skua("put", "/names/f", input=b"f")
    c.skua("mv", "/names/f", "/names/d")
    c.skua("mv", "/names/d/f", "/names/g")
    c.skua("ln", "/names/g", "/names/hard")
    c.skua("ln", "-s", "g", "/names/soft")
    c.skua("chmod", "u=rw,go-rwx", "/names/g")
    c.skua("chown", "12:34", "/names/g")
    c.skua("xattr", "set", "/names/g", "user.k", "v")
    a = json.loads(c.skua("stat", "--json", "/names/hard").stdout)
    assert (a["mode"] & 0o7777, a["uid"], a["gid"], a["nlink"]) == (0o600, 12, 34, 2), a
    assert c.skua("xattr", "get", "/names/hard", "user.k").stdout == b"v\n"
    assert b"soft -> g" in c.skua("ls", "-l", "/names").stdout
    assert c.skua("cat", "/names/soft").stdout == b"f"
    c.skua("touch", "/names/empty")
    c.skua("truncate", "--size", "10K", "/names/empty")
    assert c.skua("cat", "/names/empty").stdout == bytes(10240)
    assert c.skua("find", "/names", "--name", "*t", "--type", "l").stdout == b"/names/soft\n"
    done = c.skua("rm", "/names", check=False)
    assert done.returncode == 1 and b"-r" in done.stderr
    c.skua("rm", "-r", "--now", "/names")
    gone = json.loads(c.skua("versions", "/names", "--json").stdout)        # everything is kept for 30 minutes
    assert all(v["kept_until_ns"] - v["until_ns"] < 31 * 60 * 10**9 for v in gone), gone


@promise
def an_earlier_content_comes_back_by_its_number():
    c = cluster()
    c.skua("put", "/versions", input=b"one")
    c.skua("put", "/versions", input=b"two")
    c.skua("rm", "/versions")
    all = json.loads(c.skua("versions", "/versions", "--json").stdout)
    assert len(all) == 2 and all[0]["until_ns"] > all[1]["until_ns"], all
    c.skua("undelete", "--number", "2", "/versions")
    assert c.skua("cat", "/versions").stdout == b"one"
    c.skua("purge", "/versions")
    for v in json.loads(c.skua("versions", "/versions", "--json").stdout):
        assert v["kept_until_ns"] < (time.time() + 31 * 60) * 10**9, v


@promise
def policies_hold_below_their_directory():
    c = cluster()
    c.skua("mkdir", "-p", "/policy/below")
    c.skua("policy", "set", "/policy", "scheme=1+1", "inline=0", "retention=2h")
    got = json.loads(c.skua("policy", "get", "/policy/below", "--json").stdout)
    assert got["resolved"]["scheme"][0]["data"] == 1 and got["resolved"]["retention_s"] == 7200 and got["own"] == {}, got
    c.skua("put", "/policy/below/f", input=b"small, but not inline")
    assert c.skua("cat", "/policy/below/f").stdout == b"small, but not inline"
    c.skua("policy", "set", "/policy", "scheme=")
    assert "scheme" not in json.loads(c.skua("policy", "get", "/policy", "--json").stdout)["own"]


@promise
def output_that_cannot_be_written_is_a_failure_and_said():
    c = cluster()
    c.skua("put", "/something", input=b"to list")
    for command in (("ls", "/"), ("status",), ("ls", "--json", "/")):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([c.binary(), *command], env=c.env, stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == 1 and b"No space left" in done.stderr, (command, done.returncode, done.stderr)


@promise
def disks_are_named_from_where_the_user_stands():
    scratch_dir = tempfile.mkdtemp(prefix="skua-test-")
    try:
        for name in ("d1", "d2", "d3"):
            os.mkdir(f"{scratch_dir}/{name}")
        env = {k: v for k, v in os.environ.items() if not k.startswith("SKUA_")}
        skua = [cluster().binary(), "cluster"]
        up = [*skua, "up", "--dir", "c", "--replicas", "1", "--shards", "1", "--disk"]
        done = subprocess.run([*up, "nowhere"], cwd=scratch_dir, env=env, capture_output=True)
        assert done.returncode == 1 and b"nowhere is no folder" in done.stderr and not os.path.exists(f"{scratch_dir}/c"), done
        try:
            done = subprocess.run([*up, "d1", "--disk", "d2", "--disk", "d3"], cwd=scratch_dir, env=env, capture_output=True)
            assert done.returncode == 0, done
            assert os.path.exists(f"{scratch_dir}/d2/FORMAT")
        finally:
            subprocess.run([*skua, "down", "--dir", "c", "--force"], cwd=scratch_dir, env=env)
    finally:
        shutil.rmtree(scratch_dir, ignore_errors=True)


@promise
def man_pages_and_completion_are_made():
    c = cluster()
    man = os.path.join(c.scratch, "man")
    c.skua("internal", "man", man)
    assert {"skua.1", "skua-cp.1", "skua-cluster-up.1", "skua-policy-set.1"} <= set(os.listdir(man))
    assert "recursive" in open(os.path.join(man, "skua-cp.1")).read()
    script = write(os.path.join(c.scratch, "completion"), c.skua("internal", "completion").stdout)
    words = run("bash", "-c", f". {script}; COMP_WORDS=(skua cluster st); COMP_CWORD=2; _skua; echo ${{COMPREPLY[@]}}").stdout.split()
    assert words == [b"start", b"status"] or words == [b"status", b"start"], words


try:
    main()
finally:
    if shared is not None:
        shared.close()
