#!/usr/bin/env python3
"""What a machine can check of style.md: the arrows between folders, where co_await may stand, sizes of files,
left-over markers. Prints path:line: complaint; exit 1 if there is any. tests/tree/lint_test.py runs it."""
import os, re, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CORE = {"core/base": set(), "core/wire": {"core/base"}, "core/async": {"core/base"}, "core/net": {"core/base", "core/wire", "core/async"},
        "core/store": {"core/base", "core/wire"}, "core/data": {"core/base", "core/wire"}}
ALL_CORE = set(CORE)
ROLES = {"registry", "shard", "cdc", "blocks"}
MAY = dict(CORE, raft=ALL_CORE, registry=ALL_CORE | {"raft"}, shard=ALL_CORE | {"raft"}, cdc=ALL_CORE | {"raft"}, blocks=set(ALL_CORE),
           client=set(ALL_CORE), **{"client/cli": ALL_CORE | {"client"}, "fuse": ALL_CORE | {"client"}})
MAX_LINES, MAX_MESSAGES = 700, 1000       # a messages.h is a list of declarations, read by looking up


def files():
    out = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.cc", "*.h"], cwd=ROOT, capture_output=True, text=True)
    return [f for f in out.stdout.split() if os.path.exists(os.path.join(ROOT, f))]


def folder_of(path):
    for name in sorted(MAY, key=len, reverse=True):
        if path.startswith(name + "/"):
            return name
    return None


def check_includes(path, text, complain):
    folder = folder_of(path)
    if not folder:
        return
    for m in re.finditer(r'^#include "([^"]+)"', text, re.M):
        target = m[1]
        other = folder_of(target)
        if other is None or other == folder or other in MAY[folder]:
            continue
        role = folder not in CORE
        if role and target in {r + "/messages.h" for r in ROLES | {"raft"}}:
            continue
        complain(m.start(), f"{folder} may not include {target}")


def blanked(s):
    """The source with comments, strings and character literals blanked, position for position."""
    pattern = r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Za-z_])\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m[0]), s, flags=re.S)


def allowed_before(before):
    if before.startswith("#define "):
        return True
    if before in ("", "(void)", "co_return"):
        return True
    if re.fullmatch(r"CO_TRY_OK\(", before):
        return True
    if before.startswith("CO_TRY("):
        return before.endswith(",") and "{" not in before
    if re.search(r"[^=!<>]=$", before):
        return not re.search(r"[(){}?]", before)
    return False


def check_co_await(s, complain):
    for m in re.finditer(r"\bco_await\b", s):
        at = m.start()
        if s[max(0, at - 9):at] == "operator ":
            continue
        start = max(s.rfind(c, 0, at) for c in ";{}") + 1
        before = s[start:at].strip()
        before = re.sub(r"^(?:(?:case [^:]+:|default:|else)\s*)+", "", before)
        while (loop := re.match(r"^(?:if|while|for)\s*\((?:[^()]|\([^()]*\))*\)\s*", before)):
            before = before[loop.end():]
        for prefix in ("for (", "for("):
            if before.startswith(prefix):
                before = before[len(prefix):]
        if not allowed_before(before):
            complain(at, "co_await is not the whole right-hand side")
            continue
        depth = 0
        for i in range(at, len(s)):
            c = s[i]
            depth += (c in "([") - (c in ")]")
            if c in "{}":
                complain(at, "something is built in braces in a co_await statement")
                break
            if c == "?":
                complain(at, "?: in a co_await statement")
                break
            if c == ";" and depth <= 0:
                if "co_await" in s[at + 8:i]:
                    complain(at, "two co_awaits in one statement")
                break


def main():
    found = 0
    for path in files():
        text = open(os.path.join(ROOT, path), errors="replace").read()

        def complain(at, why):
            nonlocal found
            found += 1
            print(f"{path}:{text.count(chr(10), 0, at) + 1}: {why}")

        check_includes(path, text, complain)
        code = blanked(text)
        if not path.startswith("tests/unit"):
            check_co_await(code, complain)
        lines = text.count("\n")
        if lines > (MAX_MESSAGES if path.endswith("/messages.h") else MAX_LINES):
            complain(len(text), f"{lines} lines: is there a second idea in it?")
        for m in re.finditer(r"\b(TODO|FIXME|XXX)\b", text):
            complain(m.start(), "left open: " + m[1])
        for m in re.finditer(r"\bstd::(uniform_int_distribution|shuffle|random_device|hash<)", code):
            if not path.startswith("tests/") and path != "core/base/types.h":
                complain(m.start(), "two builds must agree: no " + m[0])
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
