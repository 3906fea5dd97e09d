"""What has no wheel for a target is built from its hashed sdist, in a Debian of that suite and architecture.

Nothing in there has a network: the sources, and what builds them (requirements/sdists.lock), come by their
hashes.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from deb.debian import ask, copy
from deb.libraries import BuildError, Locked, Part, fetch, fetch_sdists, locked, unpack
from deb.target import Target

TOOLS = Path(__file__).parents[2] / "requirements" / "sdists.lock"
PATIENCE = 3600.0
"""s; emulated, a compiler takes its time."""
OLDEST_LGPIO = (0, 2, 2, 0)
"""Earlier ones lose edges; the package index also holds an empty 0.0.0.2."""
_FLAGS = {
    # lgpio brings its C sources, and would else look for the library in the system.
    "PYPI": "1",
    # Without it PyYAML says nothing when it finds no libyaml, and reads ten times as slowly ever after.
    "PYYAML_FORCE_LIBYAML": "1",
    # No trace of where and when it was compiled.
    "CFLAGS": "-g0 -ffile-prefix-map=/tmp=.",
    "LDFLAGS": "-Wl,-s",
    "PYTHONHASHSEED": "0",
    "PYTHONPATH": "/srv/tools",
}
_SORTED = """
import pathlib
found = pathlib.Path.glob
pathlib.Path.glob = lambda folder, *words, **more: iter(sorted(found(folder, *words, **more)))
"""
"""lgpio links its objects in the order in which the file system happens to list their sources."""
_LOADS = """
import importlib, pathlib, sys
sys.path.insert(0, "/srv/site")
site = pathlib.Path("/srv/site")
for file in sorted(site.rglob("*.so")):
    importlib.import_module(".".join((*file.parent.relative_to(site).parts, file.name.split(".")[0])))
"""


def built(libraries: list[Locked], target: Target, folder: Path, epoch: int) -> list[Part]:
    """Their wheels in `folder`, each compiled anew and loaded once, with its sdist.

    Raises BuildError for what cannot be built, CannotRun where this machine cannot make such a tree.
    """
    sdists = fetch_sdists(libraries, folder / "sdists")
    tools = fetch(list(locked(TOOLS.read_text(), target, unused=frozenset())), target, folder / "tools")
    with (
        tempfile.TemporaryDirectory(prefix="submeter-sdists-") as scratch,
        copy(target, Path(scratch), "workshop") as tree,
    ):
        place = tree / "srv"
        for tool in tools:
            unpack(tool, place / "tools")
        (place / "tools/sitecustomize.py").write_text(_SORTED)
        shutil.copytree(folder / "sdists", place / "sdists")
        (place / "wanted.txt").write_text("".join(f"{library.line}\n" for library in libraries))
        _link_libyaml_whole(tree)
        _run(tree, epoch, "-m", "pip", "wheel", "--quiet", "--no-index", "--find-links", "/srv/sdists",
             "--no-deps", "--no-binary=:all:", "--no-build-isolation", "--no-cache-dir", "--require-hashes",
             "--wheel-dir", "/srv/wheels", "-r", "/srv/wanted.txt")  # fmt: skip
        wheels = sorted((place / "wheels").glob("*.whl"))
        for wheel in wheels:
            unpack(wheel, place / "site")
        _run(tree, epoch, "-I", "-c", _LOADS)
        made = [Path(shutil.copy(wheel, folder)) for wheel in wheels]
    source = {_name(sdist): sdist for sdist in sdists}
    if {_name(wheel) for wheel in made} != source.keys():
        raise BuildError(f"of {sorted(source)} came {[wheel.name for wheel in made]}")
    return [Part(wheel, source[_name(wheel)]) for wheel in made]


def _link_libyaml_whole(tree: Path) -> None:
    # With no shared library to link with, the linker takes the archive: the package needs no libyaml then.
    for library in tree.glob("usr/lib/*/libyaml.so"):
        library.unlink()


def _run(tree: Path, epoch: int, *words: str) -> None:
    environment = {**_FLAGS, "SOURCE_DATE_EPOCH": str(epoch)}
    done = ask(tree, "/usr/bin/python3", *words, patience=PATIENCE, environment=environment)
    if done.returncode:
        said = f"{done.stdout}\n{done.stderr}".strip()
        raise BuildError(f"in a tree of {tree.name}: {words}:\n{said[-4000:]}")


def _name(file: Path) -> str:
    return re.split(r"-\d", file.name)[0].lower().replace("-", "_")


def verify(wheels: Iterable[Path]) -> None:
    """Raise BuildError when a library of the package would do its work badly and not say so: an lgpio that is
    too old, a PyYAML without its parser in C.
    """
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        if name == "lgpio" and tuple(map(int, version.split("."))) < OLDEST_LGPIO:
            raise BuildError(f"{wheel.name} is older than {'.'.join(map(str, OLDEST_LGPIO))}")
        if name.lower() == "pyyaml":
            with zipfile.ZipFile(wheel) as archive:
                if not any(re.fullmatch(r"yaml/_yaml\..*so", member) for member in archive.namelist()):
                    raise BuildError(f"{wheel.name} has no CSafeLoader: it was built without libyaml")
