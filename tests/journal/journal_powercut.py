"""A recorded run of a process and every disk that a power cut could have left behind.

The recording is strace's: each write, sync, truncation and directory change with its data, and what the
process said on stdout, in order. A cut after operation k leaves what was synced, and of the rest any part:
each unsynced write whole, not at all, or torn at 512 bytes; each unsynced creation, renaming or deletion done
or not, in the order of its directory.
"""

import random
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

SECTOR = 512
CALLS = "openat,pwrite64,write,fdatasync,fsync,ftruncate,rename,unlink,mkdir"
_LINE = re.compile(r"^\d+ +(?P<call>\w+)\((?P<rest>.*)\) = (?P<result>-?\d+)(?:<(?P<opened>[^>]*)>)?$")
_FD = re.compile(r"^(\d+)<([^>]*)>")


@dataclass
class Op:
    """`kind`: create, write, trunc, unlink, rename, sync, say. `path` what it concerns."""

    kind: str
    path: str = ""
    at: int = 0
    data: bytes = b""
    other: str = ""


def record(argv, trace, cwd):
    """Run a command to its end under strace; its operations."""
    prefix = ["strace", "-f", "-y", "-xx", "-s", "2000000", "-qq", "-o", str(trace), "-e", f"trace={CALLS}"]
    subprocess.run([*prefix, *argv], check=True, cwd=cwd, stdout=subprocess.PIPE, timeout=110)
    return parse(Path(trace).read_text())


def _text(escaped):
    return bytes.fromhex(escaped.replace("\\x", ""))


def _string(rest, index=0):
    return _text(re.findall(r'"((?:\\x[0-9a-f]{2})*)"', rest)[index])


def parse(text):
    """The operations of a trace; calls that were interrupted by another thread's are put together again."""
    ops, open_calls, seen = [], {}, set()
    for raw in text.splitlines():
        thread = raw.split(" ", 1)[0]
        line = raw
        if line.endswith("<unfinished ...>"):
            open_calls[thread] = line.removesuffix("<unfinished ...>").rstrip()
            continue
        if "resumed>" in line:
            line = open_calls.pop(thread) + line.split("resumed>", 1)[1].lstrip()
        found = _LINE.match(line)
        if not found or int(found["result"]) < 0:
            continue
        call, rest = found["call"], found["rest"]
        fd = _FD.match(rest)
        path = _text(fd[2]).decode() if fd and fd[2].startswith("\\x") else ""
        if call == "openat" and "O_CREAT" in rest:
            name = _text(found["opened"]).decode()
            if name not in seen:
                seen.add(name)
                ops.append(Op("create", name))
            if "O_TRUNC" in rest:
                ops.append(Op("trunc", name))
        elif call == "write" and fd and fd[1] == "1":
            ops.append(Op("say", data=_string(rest)))
        elif call == "pwrite64":
            ops.append(Op("write", path, int(rest.rsplit(",", 1)[1]), _string(rest)))
        elif call == "ftruncate":
            ops.append(Op("trunc", path, int(rest.rsplit(",", 1)[1])))
        elif call in {"fdatasync", "fsync"}:
            ops.append(Op("sync", path))
        elif call == "unlink":
            name = _string(rest).decode()
            seen.discard(name)
            ops.append(Op("unlink", name))
        elif call == "rename":
            ops.append(Op("rename", _string(rest).decode(), other=_string(rest, 1).decode()))
    return ops


def cut(ops, directory, target, how, seed=0):
    """Rebuild in `target` what a cut after these operations leaves of `directory`. `how`: dropped, kept,
    torn (by `seed`).
    """
    rng = random.Random(seed)
    directory = str(directory)
    mine = [op for op in ops if op.kind == "sync" or op.path.startswith(directory)]
    last_sync = {op.path: index for index, op in enumerate(mine) if op.kind == "sync"}
    names, files = {}, {}  # a name → a file's number; a file's number → its bytes
    for index, op in enumerate(mine):
        if op.kind == "sync" or op.path.endswith((".lock", ".ballast")):
            continue
        if op.kind in {"create", "unlink", "rename"}:
            # A file's own sync makes its creation durable (ext4, XFS, F2FS); other changes need the
            # directory's.
            durable = index < last_sync.get(directory, -1) or (
                op.kind == "create" and index < last_sync.get(op.path, -1)
            )
            done = durable or how == "kept" or (how == "torn" and rng.random() < 0.5)
            if op.kind == "create":
                files[op.path] = bytearray()
                if done:
                    names[op.path] = op.path
            elif done and op.kind == "unlink":
                names.pop(op.path, None)
            elif done:
                names[op.other] = names.pop(op.path, op.path)
            continue
        content = files.setdefault(op.path, bytearray())
        if index < last_sync.get(op.path, -1) or how == "kept":
            apply(content, op)
        elif how == "torn":
            fate = rng.choice(("keep", "drop", "tear"))
            if fate == "keep":
                apply(content, op)
            elif fate == "tear" and op.kind == "write":
                for start, end in sectors(op):
                    if rng.random() < 0.5:
                        apply(content, Op("write", op.path, op.at + start, op.data[start:end]))
    for name, file in names.items():
        (Path(target) / Path(name).name).write_bytes(files[file])


def sectors(op):
    """The parts of a write that a disk writes as one: pieces between multiples of 512 bytes of the file."""
    start = 0
    while start < len(op.data):
        end = min(len(op.data), start + SECTOR - (op.at + start) % SECTOR)
        yield start, end
        start = end


def apply(content, op):
    """Do a write or a truncation."""
    if op.kind == "trunc":
        del content[op.at :]
        content.extend(bytes(op.at - len(content)))
        return
    if len(content) < op.at:
        content.extend(bytes(op.at - len(content)))
    content[op.at : op.at + len(op.data)] = op.data


def said(ops):
    """What the process had said by then, as text."""
    return b"".join(op.data for op in ops if op.kind == "say").decode()
