"""Runs tests against mutants, one fork each: pytest, the gateway and the tests are loaded once.

python -m tests.mutants.server FOLDER…, in a copy of the repository. Each line of stdin is a job: {"module",
"source" (a file with the mutated module), "chosen" (a file with the tests, see reach.py), "files", "seconds",
"out" (a file for what pytest prints)}. Each line of stdout is its answer: pytest's exit code, or null when
its time was over.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
import time
from itertools import count
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

from tests.mutants.reach import MARKS, OPTIONS

NO_SUCH_PLACE = 90
"""Exit code when a mutant cannot be put into the code that is loaded."""


Place = tuple[str, int]
"""A qualified name, and the how manieth of that name it is in the module."""


def codes(code: CodeType, found: dict[Place, CodeType] | None = None) -> dict[Place, CodeType]:
    """A module's code objects by their place."""
    found = {} if found is None else found
    number = next(number for number in count() if (code.co_qualname, number) not in found)
    found[code.co_qualname, number] = code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            codes(const, found)
    return found


def put_in(module: Path, was: bytes, source: bytes) -> bool:
    """Exchange the code of every function of a loaded module; whether that could be done."""
    if was == source:
        return True
    old = codes(compile(was, str(module), "exec", dont_inherit=True))
    new = codes(compile(source, str(module), "exec", dont_inherit=True))
    others = {
        (code.co_qualname, code.co_firstlineno): new[place]
        for place, code in old.items()
        if place in new and code != new[place]
    }
    changed = False
    gc.unfreeze()
    for function in [each for each in gc.get_objects() if isinstance(each, FunctionType)]:
        code = function.__code__
        if code.co_filename == str(module) and (other := others.get((code.co_qualname, code.co_firstlineno))):
            if other.co_freevars != code.co_freevars:
                return False
            function.__code__ = other
            changed = True
    return changed


def child(job: dict[str, Any]) -> int:
    """In the fork: put the mutant in, run the tests."""
    os.setsid()
    out = os.open(job["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    module = Path(job["module"]).absolute()
    if not put_in(module, module.read_bytes(), Path(job["source"]).read_bytes()):
        return NO_SUCH_PLACE
    os.environ["MUTANTS_CHOSEN"] = job["chosen"]
    return int(
        pytest.main([*OPTIONS, "-m", MARKS, "-x", "--timeout=60", "--hypothesis-seed=0", *job["files"]])
    )


def wait_for(pid: int, seconds: float) -> int | None:
    """The exit code of a fork; None when its time was over. Nothing of it is left."""
    end = time.monotonic() + seconds
    code = None
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            break
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    if code is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return code


def main() -> None:
    """Load, then serve."""
    answers = os.fdopen(os.dup(1), "w")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    none = Path(os.environ["TMPDIR"]) / "none.json"
    none.write_text("[]")
    os.environ["MUTANTS_CHOSEN"] = str(none)
    pytest.main([*OPTIONS, "--collect-only", *sys.argv[1:]])
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = 3
            try:
                code = child(job)
            finally:
                os._exit(code)
        answers.write(json.dumps(wait_for(pid, job["seconds"])) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
