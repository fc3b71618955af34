#!/usr/bin/env python3
"""What the command line says when something is wrong: which object, what happened, what to do. And what `admin` did."""
import contextlib, json, os, pty, re, signal, socket, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Cluster, main, promise, require_mount, run, wait_for

shared = None


def cluster():
    global shared
    if shared is None:
        shared = Cluster(disks=4, shards=2)
    return shared


def told(*args, code=1, env=None, c=None):
    """What a command says on stderr as it fails."""
    c = c or cluster()
    done = subprocess.run([c.binary(), *map(str, args)], env={**c.env, **(env or {})}, capture_output=True, timeout=90)
    assert done.returncode == code, (args, done.returncode, done.stdout[-300:], done.stderr[-600:])
    return done.stderr.decode()


nobody = socket.socket()
nobody.bind(("127.0.0.1", 0))                           # the port is taken, and nobody listens
asking = None


def ask_nobody():
    """Gives up after 30 s, beside the other tests."""
    global asking
    c = cluster()
    if asking is None:
        env = {**c.env, "SKUA_REGISTRY": "127.0.0.1:%d" % nobody.getsockname()[1]}
        asking = subprocess.Popen([c.binary(), "ls", "/"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return asking


def registry_of(c):
    return re.search(r"^registry = (\S+)", open(c.env["SKUA_CONFIG"]).read(), re.M).group(1)


@promise
def a_refused_key_is_said_as_such_and_at_once():
    c = cluster()
    ask_nobody()
    key = os.path.join(c.scratch, "wrong.key")
    text = open(os.path.join(c.dir, "local.key")).read()
    flipped = re.sub(r"^(key = )(.)", lambda m: m.group(1) + ("0" if m.group(2) != "0" else "1"), text, flags=re.M)
    assert flipped != text
    with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write(flipped)
    said = told("ls", "/", env={"SKUA_KEY": key})
    assert "key refused" in said and key in said and registry_of(c) in said and "cluster up" not in said, said


@promise
def daemons_say_what_is_wrong_with_their_command_line():
    c = cluster()
    config = c.env["SKUA_CONFIG"]

    def daemon(*args, code=1, env=None):
        env = {**os.environ, "HOME": c.scratch, **(env or {})}
        done = subprocess.run([c.binary(args[0]), *args[1:]], env=env, cwd=c.scratch, capture_output=True, timeout=20)
        assert done.returncode == code, (args, done)
        return done.stderr.decode()

    for program in ("skua-shard", "skua-cdc", "skua-registry"):
        assert "--dir is required" in daemon(program, "--name", "x", code=2)
    assert "--dir is needed" in daemon("skua-blocks", code=2)
    assert "1 to 4096 --shards" in daemon("skua-registry", "--format", "--shards", "5000", "--name", "x", "--dir", "x", code=2)
    assert "log level 'loud'" in daemon("skua-shard", "--name", "x", "--dir", "x", "--log-level", "loud", code=2)
    assert "no skua.conf was found" in daemon("skua-shard", "--name", "x", "--dir", "x")
    for program in ("skua-shard", "skua-blocks"):
        said = daemon(program, "--name", "x", "--dir", "x", "--config", config, env={"SKUA_REGISTRY": "nonsense"})
        assert "SKUA_REGISTRY: address 'nonsense'" in said, said
        said = daemon(program, "--name", "x", "--dir", "x", "--config", config, "--registry", "nonsense")
        assert "--registry: address 'nonsense'" in said, said


@promise
def a_registry_address_that_is_none_or_another_clusters_is_named():
    c = cluster()
    said = told("ls", "/", env={"SKUA_REGISTRY": "nonsense"})
    assert "SKUA_REGISTRY" in said and "'nonsense'" in said and "HOST:PORT" in said, said
    with Cluster(disks=1, shards=1) as other:
        said = told("ls", "/", env={"SKUA_REGISTRY": registry_of(other)})
        assert "another cluster" in said and registry_of(other) in said and "SKUA_REGISTRY" in said and "local.key" in said, said


@promise
def an_unknown_command_is_named_with_the_nearest():
    assert "unknown command 'foo'" in told("foo", code=2)
    assert "did you mean 'status'" in told("statsu", code=2)
    said = told("admin", "confirm-daed", code=2)
    assert "unknown command 'admin confirm-daed'" in said and "'admin confirm-dead'" in said, said
    assert "which command" in told("cluster", code=2) and "which command" in told(code=2)
    blocks = subprocess.run([cluster().binary("skua-blocks"), "fromat"], capture_output=True)
    assert blocks.returncode == 2 and b"did you mean 'format'" in blocks.stderr, blocks


@promise
def wrong_usage_shows_the_right_one():
    assert "usage: skua cp SOURCE... DEST" in told("cp", "/etc/hostname", code=2)
    assert "SOURCE... DEST" in told("mv", code=2) and "usage: skua mv SOURCE... DEST" in told("mv", "/a", code=2)
    assert "usage: skua mkdir [OPTIONS] PATH..." in told("mkdir", code=2)
    for verb in ("set-up", "set-read-only", "confirm-dead"):
        assert "--disk" in told("admin", verb, code=2)
    assert "--group" in told("admin", "transfer-leader", code=2)
    for name in ("color", ".color", "user."):
        assert "start with `user.`" in told("xattr", "set", "/", name, "green", code=2)
    assert "key=value" in told("policy", "set", "/", "scheme", code=2)


@promise
def the_root_stays_and_that_is_said():
    c = cluster()
    c.skua("mkdir", "-p", "/stay")
    for args in (("rmdir", "/"), ("mv", "/", "/stay/x"), ("rm", "-r", "/")):
        said = told(*args)
        assert "busy" not in said and "root" in said, said


@promise
def a_folder_that_is_not_there_is_not_measured():
    c = cluster()
    for where in (os.path.join(c.scratch, "nope"), os.path.join(c.dir, "skua.conf")):
        said = told("bench", "disk", where)
        assert where in said and "folder" in said, said
    assert not os.path.exists(os.path.join(c.scratch, "nope"))


@promise
def a_disk_larger_than_its_file_system_is_refused():
    c = cluster()
    place = os.path.join(c.scratch, "large")
    said = told("cluster", "up", "--dir", place, "--set", "capacity=999T", code=2)
    assert "capacity" in said and "more than" in said and not os.path.exists(place), said
    done = run(c.binary("skua-blocks"), "format", "--cluster", "0123456789abcdef", "--capacity", "999T", place, check=False)
    assert done.returncode == 1 and b"more than its file system has" in done.stderr and not os.path.exists(place + "/FORMAT"), done


def on_a_terminal(*args):
    """What a command prints on a terminal."""
    c = cluster()
    parent, child = pty.openpty()
    process = subprocess.Popen([c.binary(), *args], env=c.env, stdout=child)
    os.close(child)
    out = b""
    while True:
        try:
            some = os.read(parent, 65536)
        except OSError:
            some = b""
        if not some:
            break
        out += some
    os.close(parent)
    assert process.wait(30) == 0
    return out.decode().replace("\r\n", "\n")


@promise
def names_with_control_characters_are_quoted_on_a_terminal_only():
    c = cluster()
    odd = "two\nlines\x1b[31m"
    c.skua("mkdir", "-p", "/odd")
    c.skua("put", "/odd/" + odd, input=b"")
    c.skua("put", "/odd/plain", input=b"")
    for args in (("ls", "/odd"), ("ls", "-l", "/odd"), ("find", "/odd"), ("tree", "/odd")):
        shown = on_a_terminal(*args)
        assert r"two'$'\n''lines'$'\033''[31m'" in shown and "plain" in shown and "'plain'" not in shown, (args, shown)
        assert odd in c.skua(*args).stdout.decode()
    assert "\x1b" not in told("cat", "/odd/" + odd + "x")


@promise
def a_failed_copy_leaves_nothing_under_the_new_name():
    c = cluster()
    here = os.path.join(c.scratch, "failed")
    os.makedirs(here)
    unread = "/proc/self/mem"                            # opens, and cannot be read at 0
    told("cp", unread, "skua:/failed-copy")
    told("stat", "/failed-copy")
    c.skua("put", "/kept", input=b"what was there")
    told("cp", unread, "skua:/kept")
    assert c.skua("cat", "/kept").stdout == b"what was there"
    c.skua("put", "/large", input=os.urandom(8 << 20))
    limited = ["prlimit", "--fsize=1048576", c.binary(), "cp", "skua:/large", os.path.join(here, "large")]
    done = subprocess.run(limited, env=c.env, capture_output=True)
    assert done.returncode != 0
    assert os.listdir(here) == [], (os.listdir(here), done)


@promise
def files_are_counted_while_they_have_a_name():
    with Cluster(disks=1, shards=1) as c:
        before = c.status()["space"]["files"]
        for i in range(5):
            c.skua("put", f"/f{i}", input=b"x")
        c.skua("ln", "/f0", "/hard")
        assert c.status()["space"]["files"] == before + 5
        c.skua("rm", "/f0", "/f1", "/f2")
        assert c.status()["space"]["files"] == before + 3        # /hard still is f0
        assert c.skua("admin", "fsck").stdout == b"no problems found\n"
        c.skua("undelete", "/f1")
        assert c.status()["space"]["files"] == before + 4
        assert c.skua("admin", "fsck").stdout == b"no problems found\n"


@promise
def a_living_disk_is_not_said_to_be_dead_by_mistake_and_up_does_not_wait_for_one_that_was():
    with Cluster(disks=3, shards=1) as c:
        disk = next(d["id"] for d in c.status()["disks"] if d["server"] == "blocks-1")
        assert f"disk {disk} of blocks-1 is alive" in told("admin", "confirm-dead", "--disk", disk, c=c)
        assert all(d["state"] == "up" for d in c.status()["disks"])
        done = c.skua("admin", "set-read-only", "--disk", "blocks-1").stdout.decode()
        assert done == f"disk {disk} of blocks-1: read-only, was up\n", done
        assert f"disk {disk} of blocks-1: read-only\n" in c.skua("status").stdout.decode()
        done = c.skua("admin", "confirm-dead", "--disk", disk, "--force").stdout.decode()
        assert f"disk {disk} of blocks-1: dead, was read-only; should it come back" in done, done
        wait_for(lambda: "by a human's word" in c.skua("status").stdout.decode(), 10, "that status tells who said so")
        up = c.up()
        assert f"disk {disk}".encode() in up.stderr and b"set-up" in up.stderr, up.stderr
        done = c.skua("admin", "set-up", "--disk", str(disk)).stdout.decode()
        assert done == f"disk {disk} of blocks-1: up, was dead\n", done
        wait_for(lambda: c.status()["healthy"], 20, "health")
        assert "there is no disk blocks-9" in told("admin", "set-up", "--disk", "blocks-9", c=c)


@promise
def leaders_are_spread_when_asked_and_what_moved_is_told():
    with Cluster(disks=1, shards=3, replicas=3) as c:
        leads = lambda: [g["leader"] for g in c.status()["groups"] if g["kind"] == "shard"]
        for n in range(3):                               # all to one, however the cluster spreads them meanwhile
            done = c.skua("admin", "transfer-leader", "--group", f"shard:{n}", "--to", "shard-0").stdout.decode()
            assert f"shard:{n}: " in done and "shard-0" in done, done
        said = c.skua("admin", "balance-leaders").stdout.decode()
        assert "->" in said or "spread already" in said, said
        assert sorted(leads()) == ["shard-0", "shard-1", "shard-2"], (leads(), said)
        assert c.skua("admin", "balance-leaders").stdout == b"leaders are spread already\n"
        server = next(s["id"] for s in json.loads(c.skua("admin", "servers", "--json").stdout) if s["name"] == "shard-1")
        assert "shard-1" in c.skua("admin", "transfer-leader", "--group", "shard:0", "--to", server).stdout.decode()
        assert "there is no server shard-9" in told("admin", "transfer-leader", "--group", "cdc", "--to", "shard-9", c=c)
        assert "no member" in told("admin", "transfer-leader", "--group", "cdc", "--to", "shard-1", c=c)


@promise
def a_mount_whose_driver_was_killed_is_cleared_although_somebody_uses_it():
    require_mount()
    with Cluster(disks=3, shards=1) as c:
        m = c.mount()
        c.skua("put", "/there", input=b"there")
        for again in (("mount", m), ("cluster", "start", "--dir", c.dir, "mount")):
            user = subprocess.Popen(["sleep", "1000"], cwd=m)
            held = open(os.path.join(m, "there"), "rb")
            try:
                os.kill(c.pid("mount"), signal.SIGKILL)
                c.skua(*again)
                assert open(os.path.join(m, "there"), "rb").read() == b"there"
            finally:
                user.kill()
                user.wait()
                with contextlib.suppress(OSError):      # of the mount that was
                    held.close()
        user = subprocess.Popen(["sleep", "1000"], cwd=m)
        try:
            os.kill(c.pid("mount"), signal.SIGKILL)
            said = told("umount", m, c=c)
            assert str(user.pid) in said and "skua umount --force " + m in said, said
            c.skua("umount", "--force", m)
            assert os.listdir(m) == []
        finally:
            user.kill()
            user.wait()
        c.mounted = None


@promise
def up_with_a_mount_tells_where_and_the_driver_explains_its_options():
    require_mount()
    with Cluster(disks=1, shards=1) as c:
        at = os.path.join(c.scratch, "with space")
        os.makedirs(at)
        said = c.up("--mount", at).stdout.decode()
        assert f"ls -l '{at}'" in said and "skua mount" not in said, said
    help = run(cluster().binary("skua-fuse"), "--help").stdout.decode()
    for option in ("ro", "allow_other", "attr_timeout", "async_close", "soft", "timeout", "dirty_mib", "writeback", "io_uring"):
        assert re.search(rf"^  {option}\b.*  \w", help, re.M), option


@promise
def daemons_have_man_pages_made_of_their_own_words():
    c = cluster()
    for program in ("skua-registry", "skua-cdc", "skua-shard", "skua-blocks", "skua-fuse"):
        page = run(c.binary(program), "--man-page").stdout.decode()
        assert page.startswith(f".TH {program.upper()} 8 ") and ".SH OPTIONS" in page and "\\-\\-log\\-level" in page, page[:300]
    page = run(c.binary("skua-blocks"), "--man-page").stdout.decode()
    assert ".SS skua\\-blocks format" in page and "capacity" in page


@promise
def a_registry_where_nobody_listens_is_told_with_address_and_reason():
    said = ask_nobody().communicate(timeout=60)[1].decode()
    first, last = said.splitlines()[0], said.splitlines()[-1]
    at = "127.0.0.1:%d" % nobody.getsockname()[1]
    assert asking.returncode == 1 and "waiting for the cluster" in first and at in first and "refused" in first, said
    assert at in last and "refused" in last and "SKUA_REGISTRY" in last, said


try:
    main()
finally:
    if shared is not None:
        shared.close()
