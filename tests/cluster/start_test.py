#!/usr/bin/env python3
"""`cluster start`, `up` and `replace-server` beside processes that die, live on, are told to end, or whose pid is another's."""
import os, re, signal, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Cluster, main, promise, wait_for

ROUNDS = 5
DYING_S = 1.0
SPIN = "import time; e = time.monotonic() + %s\nwhile time.monotonic() < e: pass"


def names(c):
    return sorted((n[:-4] for n in os.listdir(os.path.join(c.dir, "run")) if n.endswith(".cmd")), key=lambda n: (n[0] != "r", n))


def said(text):
    """{name: (what, pid)} of what `cluster start` prints."""
    return {n: (what, int(pid)) for n, what, pid in re.findall(r"^(\S+)  (started|ran already)  pid (\d+)$", text.decode(), re.M)}


def same_as_remembered(c, name, pid):
    return os.readlink(f"/proc/{pid}/exe").rsplit("/", 1)[1].startswith("skua-") and c.pid(name) == pid


class SlowDeath:
    """What is killed within it takes about DYING_S to die: it shares a core with who does not leave it any."""

    def __init__(self, pids):
        core = min(os.sched_getaffinity(0))
        self.spinner = subprocess.Popen([sys.executable, "-c", SPIN % DYING_S])
        os.sched_setaffinity(self.spinner.pid, {core})
        for task in (int(t) for pid in pids for t in os.listdir(f"/proc/{pid}/task")):
            try:
                os.sched_setaffinity(task, {core})
                os.sched_setscheduler(task, os.SCHED_IDLE, os.sched_param(0))
            except ProcessLookupError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.spinner.wait()


@promise
def killed_processes_are_started_at_once():
    with Cluster(disks=3, shards=2) as c:
        c.skua("put", "/f", input=b"f" * 1_000_000)
        everybody = names(c)
        for i in range(ROUNDS):
            before = {n: c.pid(n) for n in everybody}
            with SlowDeath(before.values() if i % 2 else []):
                for pid in before.values():
                    os.kill(pid, signal.SIGKILL)
                # Not `cluster kill`, which waits: they are dying now.
                now = said(c.cluster("start", *everybody).stdout)
            assert sorted(now) == sorted(everybody), (i, now)
            for name, (what, pid) in now.items():
                assert what == "started" and pid != before[name] and same_as_remembered(c, name, pid), (i, name, what, pid, before[name])
            assert c.skua("cat", "/f").stdout == b"f" * 1_000_000
            c.skua("put", f"/round-{i}", input=b"x")
        assert all(p["running"] for p in wait_for(lambda: processes(c), 5, "all processes"))


def processes(c):
    import json
    done = c.cluster("status", "--json", check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


@promise
def one_that_was_told_to_end_is_started_again():
    with Cluster(disks=3, shards=2) as c:
        for name in ("shard-0", "cdc-0", "blocks-1", "registry-0"):
            before = c.pid(name)
            os.kill(before, signal.SIGTERM)
            now = said(c.cluster("start", name).stdout)
            assert now[name][0] == "started" and now[name][1] != before, (name, now, before)
        c.skua("put", "/f", input=b"f")


@promise
def one_that_runs_is_left_alone_and_the_others_are_started():
    with Cluster(disks=3, shards=2) as c:
        before = {n: c.pid(n) for n in names(c)}
        c.kill("blocks-2")
        now = said(c.cluster("start", "shard-0", "blocks-2", "blocks-0").stdout)
        assert now["shard-0"] == ("ran already", before["shard-0"]) and now["blocks-0"] == ("ran already", before["blocks-0"]), now
        assert now["blocks-2"] == ("started", c.pid("blocks-2")) and c.pid("blocks-2") != before["blocks-2"], now
        c.kill("blocks-2")
        up = c.up().stderr.decode()
        assert "started blocks-2; 5 others ran already" in up, up
        missing = c.cluster("start", "shard-0", "nobody-1", check=False)
        assert missing.returncode == 1 and "no process nobody-1" in missing.stderr.decode(), missing
        assert said(missing.stdout) == {"shard-0": ("ran already", before["shard-0"])}, missing


@promise
def several_commands_at_once_start_one_process():
    with Cluster(disks=3, shards=2) as c:
        for name in ("shard-0", "blocks-1"):
            os.kill(c.pid(name), signal.SIGKILL)
            commands = [subprocess.Popen([c.binary(), "cluster", "start", "--dir", c.dir, name], env=c.env, stdout=subprocess.PIPE)
                        for _ in range(4)]
            answers = [said(p.communicate(timeout=60)[0])[name] for p in commands]
            assert sorted(what for what, _ in answers) == ["ran already"] * 3 + ["started"], answers
            assert {pid for _, pid in answers} == {c.pid(name)}, answers
        c.skua("put", "/f", input=b"f")


@promise
def a_lost_pid_file_starts_no_second_process():
    with Cluster(disks=3, shards=2) as c:
        for name in ("shard-0", "blocks-1"):
            pid = c.pid(name)
            path = os.path.join(c.dir, "run", name + ".pid")
            text = open(path).read()
            os.unlink(path)
            done = c.cluster("start", name, check=False)
            assert done.returncode == 1 and f"is in use by process {pid}" in done.stderr.decode(), done
            assert not os.path.exists(path)
            with open(path, "w") as f:
                f.write(text)
        c.skua("put", "/f", input=b"f")


@promise
def a_pid_that_is_another_programs_by_now_is_neither_shown_nor_killed_nor_in_the_way():
    with Cluster(disks=3, shards=2, replicas=3) as c:
        innocent = subprocess.Popen(["sleep", "1000"])
        try:
            def reuse(name, started=None):
                c.kill(name)
                path = os.path.join(c.dir, "run", name + ".pid")
                old = open(path).read().split()
                stat = open(f"/proc/{innocent.pid}/stat").read().rsplit(")", 1)[1].split()
                # Its start time of then; or, as after a reboot, the same time of another boot.
                with open(path, "w") as f:
                    f.write(f"{innocent.pid} {stat[19]} 00000000-0000-0000-0000-000000000000\n" if started else f"{innocent.pid} {old[1]} {old[2]}\n")
            for boot in (False, True):
                for name in ("blocks-0", "shard-1"):
                    reuse(name, boot)
                    assert f"{name}  ended" in c.cluster("status", check=False).stdout.decode()
                    assert f"process {name} has ended" in c.skua("status").stdout.decode()
                    refused = c.cluster("kill", name, check=False)
                    assert refused.returncode == 1 and "does not run" in refused.stderr.decode(), refused
                    assert said(c.start(name).stdout)[name][0] == "started"
            reuse("shard-1")
            c.skua("admin", "replace-server", "shard-1")
            assert c.pid("shard-1") != innocent.pid
            running = c.skua("admin", "replace-server", "shard-1", check=False)
            assert running.returncode == 1 and "shard-1 runs" in running.stderr.decode(), running
            reuse("blocks-0")
            c.cluster("down")
            assert innocent.poll() is None
        finally:
            innocent.kill()
            innocent.wait()


@promise
def replace_server_leaves_the_folder_of_a_live_server_though_its_pid_file_is_lost():
    with Cluster(disks=3, shards=2, replicas=3) as c:
        pid = c.pid("shard-1")
        path = os.path.join(c.dir, "run", "shard-1.pid")
        text = open(path).read()
        os.unlink(path)
        done = c.skua("admin", "replace-server", "shard-1", check=False)
        assert done.returncode == 1 and f"is in use by process {pid}" in done.stderr.decode(), done
        assert not os.path.exists(os.path.join(c.dir, "shard-1.lost"))
        with open(path, "w") as f:
            f.write(text)
        assert processes(c)


main()
