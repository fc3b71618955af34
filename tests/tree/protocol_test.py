#!/usr/bin/env python3
"""docs/protocol.md is what the declarations say."""
import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import BUILD, ROOT, main, promise, run


@promise
def the_protocol_page_is_current():
    made = run(os.path.join(BUILD, "tests/protocol")).stdout.decode()
    kept = open(os.path.join(ROOT, "docs/protocol.md")).read()
    assert made == kept, "docs/protocol.md is old: run `make protocol`"


main()
