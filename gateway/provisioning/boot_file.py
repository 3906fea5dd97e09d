"""`submeter.yaml` becomes the configuration of a gateway that has none: checked, its secrets in files of
their own, the configuration last; then it goes from the partition that everybody can read.

Every step may be the last one before a power cut. What was taken is known by its hash, so that the next start
goes on with it; a file that came later is put aside.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gateway.check import check
from gateway.common.files import read_regular, sync_folder, write_durably
from gateway.config import odd_character, parse_yaml
from gateway.errors import Problem
from gateway.provisioning.scrub import without_values
from gateway.provisioning.secrets import LASTING, Secret, find_secrets, without

BOOT = (Path("/boot/firmware"), Path("/boot"))
"""Where Raspberry Pi OS has the partition, today and before."""
FILE, RESULT = "submeter.yaml", "submeter-result.txt"
NEARLY = ("submeter.yml", "submeter.yaml.txt", "submeter.yml.txt", "submeter.txt")
"""What a laptop makes of the name."""
MOST_BYTES = 256 * 1024
APPLIED = ".provisioned"
"""Beside the configuration: the hash of the file that was taken. For root alone, as it is one of secrets."""
STAGED = ".provisioning"
_SUFFIX_APPLIED, _SUFFIX_IGNORED = ".taken", ".ignored"

Kind = Literal["taken", "mistakes", "ignored", "unreadable", "misnamed"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of a line: where it is, which key, what, what to write; never a value."""

    line: int
    key: str
    what: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class BootFileOutcome:
    """What became of a file on the boot partition; `verdicts` by line. `lasting`: a password or a key stood
    in it; `stays`: it could not be removed from there.
    """

    kind: Kind
    file: str
    verdicts: tuple[Verdict, ...] = ()
    lasting: bool = False
    stays: bool = False


Tell = Callable[[BootFileOutcome], str]
"""Makes the text that is written beside the file."""
Step = Callable[[str], None]


def provision(
    boot: Path, configuration: Path, sample: Path, owner: Path, tell: Tell, *, step: Step = lambda _: None
) -> BootFileOutcome | None:
    """Look at one partition; what came of it, None when there is nothing. Raises OSError when /etc cannot be
    written.

    `sample`: the configuration as it was shipped, which counts as none. `owner`: the folder whose owner may
    read the secrets. `step` hears the name of each step before it is made.
    """
    for left in boot.glob(f"{FILE}{_SUFFIX_APPLIED}"):
        wipe(left, step)
    file = boot / FILE
    if not (file.exists() or file.is_symlink()):
        named = next((name for name in NEARLY if (boot / name).exists()), None)
        return _say(boot, BootFileOutcome("misnamed", named), tell, step) if named else None
    try:
        data = _data(file)
    except OSError as error:
        verdict = Verdict(0, "", error.strerror or "cannot be read", "write it as one small text file")
        return _say(boot, BootFileOutcome("unreadable", FILE, (verdict,)), tell, step)
    known = configuration.with_name(APPLIED)
    digest = hashlib.sha256(data).hexdigest()
    if _is_set_up(configuration, sample):
        if known.exists() and known.read_text().strip() == digest:
            return _finish(boot, data, tell, step)  # it was taken; the power went before it was removed
        return _ignore(boot, tell, step)
    text, secrets, problems = _examined(data, configuration)
    if problems:
        verdicts = tuple(Verdict(*each) for each in without_values(problems, text))
        outcome = BootFileOutcome("mistakes", FILE, verdicts)
        return _say(boot, outcome, tell, step)
    reader = owner.stat()
    for secret in secrets:
        step(f"secret {secret.name}")
        _put(configuration.with_name(secret.name), _bytes(secret), 0o600, reader.st_uid, reader.st_gid)
    step("hash")
    _put(known, f"{digest}\n".encode(), 0o600)
    step("configuration")
    whole = without(text, secrets, configuration.parent)
    _put(configuration, whole.encode(), 0o640, group=configuration.parent.stat().st_gid)
    return _finish(boot, data, tell, step)


def _data(file: Path) -> bytes:
    if file.is_symlink():
        raise OSError(0, "is a symbolic link")
    return read_regular(file, MOST_BYTES)


def _is_set_up(configuration: Path, sample: Path) -> bool:
    try:
        return configuration.read_bytes() != sample.read_bytes()
    except FileNotFoundError:
        return configuration.exists()


def _examined(data: bytes, configuration: Path) -> tuple[str, list[Secret], list[Problem]]:
    """The text, its secrets, and what is wrong: as `submeter check` says it, of the lines of the file."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        return "", [], [Problem(FILE, line, "", "is not UTF-8 text", "save it as UTF-8")]
    text = text.replace("\r\n", "\n")
    if odd := odd_character(text, FILE):
        return text, [], [odd]
    document, unfit = parse_yaml(text, FILE)
    if document is None:
        return text, [], unfit
    secrets, problems = find_secrets(text, FILE)
    staged = configuration.with_name(STAGED)
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(mode=0o700)
    try:
        for secret in secrets:
            _put(staged / secret.name, _bytes(secret), 0o600)
        candidate = staged / FILE
        candidate.write_text(without(text, secrets, staged, same_lines=True))
        candidate.chmod(0o600)
        problems += check(candidate).problems
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    inside = f"{staged}/"
    told = [
        replace(each, what=each.what.replace(inside, ""), mend=each.mend.replace(inside, ""))
        for each in problems
    ]
    return text, secrets, sorted(told)


def _finish(boot: Path, data: bytes, tell: Tell, step: Step) -> BootFileOutcome:
    """Say it, then take the file away; said again when it could not be."""
    text = data.decode("utf-8-sig").replace("\r\n", "\n")
    secrets, _ = find_secrets(text, FILE)
    moved = tuple(Verdict(each.line, each.where, "moved", each.name) for each in secrets)
    lasting = any(each.key in LASTING for each in secrets)
    outcome = _say(boot, BootFileOutcome("taken", FILE, moved, lasting), tell, step)
    try:
        step("rename")
        left = (boot / FILE).replace(boot / f"{FILE}{_SUFFIX_APPLIED}")
    except OSError:
        stays = BootFileOutcome("taken", FILE, moved, lasting, stays=True)
        return _say(boot, stays, tell, step)
    _sync(boot)
    wipe(left, step)
    return outcome


def _ignore(boot: Path, tell: Tell, step: Step) -> BootFileOutcome:
    try:
        step("ignore")
        (boot / FILE).replace(boot / f"{FILE}{_SUFFIX_IGNORED}")
    except OSError:
        return _say(boot, BootFileOutcome("ignored", FILE, stays=True), tell, step)
    _sync(boot)
    return _say(boot, BootFileOutcome("ignored", f"{FILE}{_SUFFIX_IGNORED}"), tell, step)


def _say(boot: Path, outcome: BootFileOutcome, tell: Tell, step: Step) -> BootFileOutcome:
    """Write the result; a partition that cannot be written costs nothing but that."""
    step("result")
    # With a mark and the line ends of Windows: every editor of a laptop shows it.
    body = tell(outcome).replace("\n", "\r\n").encode("utf-8-sig")
    with contextlib.suppress(OSError):
        write_durably(boot / RESULT, body)  # FAT knows no owners and no permissions
    return outcome


def wipe(file: Path, step: Step = lambda _: None) -> None:
    """Overwrite and remove. A card keeps old blocks all the same, which the result says."""
    with contextlib.suppress(OSError):
        step("overwrite")
        with file.open("r+b") as body:
            body.write(bytes(os.fstat(body.fileno()).st_size))
            body.flush()
            os.fsync(body.fileno())
        step("remove")
        file.unlink()
        _sync(file.parent)


def _put(file: Path, data: bytes, mode: int, owner: int = 0, group: int = 0) -> None:
    write_durably(file, data, mode=mode, owner=(owner, group) if os.geteuid() == 0 else None)


def _sync(folder: Path) -> None:
    with contextlib.suppress(OSError):
        sync_folder(folder)


def _bytes(secret: Secret) -> bytes:
    return secret.value.rstrip("\n").encode() + b"\n"
