"""The Debian package: what is in it, that two builds are alike, and that it runs without what it left out."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deb.archive import seal
from deb.debian import fresh
from deb.emulation import emulated
from deb.libraries import BuildError, CannotRun, Part, fetch, locked, unpack
from deb.sbom import sbom
from deb.sdists import TOOLS, verify
from deb.target import MACHINES, SUITES, Target
from deb.tree import ROOT, lay_out, own_wheel, site_packages
from gateway.cli import COMMANDS
from tests.proofs import PROOFS

LOCK = (ROOT / "requirements" / "runtime.lock").read_text()
EPOCH = 1_795_278_300
SUITE = next(
    (name for name, (_, python, _) in SUITES.items() if python == "{}.{}".format(*sys.version_info)), None
)
pytestmark = pytest.mark.timeout(900)
RUNS_HERE = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import gateway
apart = ("__main__", "public_days", "demo.broker")
for module in pkgutil.walk_packages(gateway.__path__, "gateway."):
    if not module.name.endswith(apart) and "receiver" not in module.name:
        importlib.import_module(module.name)
assert gateway.__file__.startswith(sys.argv[1]), gateway.__file__
assert not {"pip", "setuptools", "pkg_resources"} & set(sys.modules)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """This machine's package, laid out, and the package itself."""
    if SUITE is None:
        pytest.skip("no suite of Debian has this Python")
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not installed")
    folder, target = tmp_path_factory.mktemp("deb"), Target(SUITE, "amd64")
    try:
        wheels = fetch(list(locked(LOCK, target)), target, ROOT / "build" / "wheels" / f"{SUITE}-amd64")
    except BuildError as error:
        pytest.skip(f"the libraries cannot be fetched here: {str(error)[-200:]}")
    own, packages = own_wheel(folder / "own", EPOCH), []
    for name in ("first", "second"):
        tree = folder / name
        lay_out(tree, [*wheels, own], target, "1.2.3")
        listed = tree / "usr/share/doc/submeter-gateway/sbom.cdx.json"
        parts = [Part(wheel, wheel) for wheel in wheels]
        listed.write_text(sbom(parts, target, version="1.2.3", epoch=EPOCH))
        packages.append(
            seal(
                tree,
                ROOT / "packaging/debian",
                target,
                version="1.2.3",
                epoch=EPOCH,
                out=folder / f"out-{name}",
                squeeze=("-Zgzip", "-z1"),
            )
        )
    return folder / "first", packages, target


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("architecture", MACHINES)
def test_the_lock_names_libraries_for_every_target_and_what_installs_programs_is_not_among_them(
    suite, architecture
):
    names = {library.name for library in locked(LOCK, Target(suite, architecture))}
    assert {"pymodbus", "paho-mqtt", "pydantic-core", "gpiozero"} <= names
    assert names.isdisjoint({"pip", "setuptools"})
    assert ("lgpio" in names) == (architecture != "amd64")
    assert all(" --hash=sha256:" in library.line for library in locked(LOCK, Target(suite, architecture)))


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("architecture", MACHINES)
def test_what_is_built_from_its_source_is_in_the_lock_and_so_is_what_builds_it(suite, architecture):
    target = Target(suite, architecture)
    assert {library.name for library in locked(LOCK, target)} >= target.from_sdist
    tools = {library.name: library for library in locked(TOOLS.read_text(), target, unused=frozenset())}
    assert {"pip", "setuptools", "cython"} <= tools.keys()


def wheel(folder, name, *members):
    with zipfile.ZipFile(folder / name, "w") as archive:
        for member in members:
            archive.writestr(member, "x")
    return folder / name


@pytest.mark.parametrize("version", ["0.0.0.2", "0.2.1.99"])
def test_an_lgpio_that_loses_edges_is_refused(tmp_path, version):
    with pytest.raises(BuildError, match=r"lgpio-.* is older than 0\.2\.2\.0"):
        verify([wheel(tmp_path, f"lgpio-{version}-cp313-cp313-linux_aarch64.whl", "lgpio.py")])


def test_a_yaml_that_reads_ten_times_as_slowly_is_refused(tmp_path):
    with pytest.raises(BuildError, match="no CSafeLoader"):
        verify(
            [
                wheel(
                    tmp_path, "pyyaml-6.0.3-cp313-cp313-linux_armv7l.whl", "yaml/__init__.py", "yaml/_yaml.py"
                )
            ]
        )


def test_the_libraries_that_do_their_work_well_are_taken(tmp_path):
    verify([
        wheel(tmp_path, "lgpio-0.2.2.0-cp313-cp313-linux_aarch64.whl", "lgpio.py"),
        wheel(tmp_path, "lgpio-0.3.0-cp313-cp313-linux_aarch64.whl", "lgpio.py"),
        wheel(tmp_path, "pyyaml-6.0.3-cp311-cp311-linux_armv7l.whl", "yaml/_yaml.cpython-311-arm.so"),
        wheel(tmp_path, "rich-0.1-py3-none-any.whl"),
    ])  # fmt: skip


def test_a_tree_that_this_machine_cannot_make_says_why(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(CannotRun, match="run it as root"):
        fresh(Target("trixie", "armhf"), "workshop")


def test_an_emulator_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(CannotRun, match="apt install qemu-user-static"):
        emulated("armhf")
    with pytest.raises(CannotRun, match="amd64 cannot be emulated"):
        emulated("amd64")


def test_a_library_without_a_hash_is_refused():
    with pytest.raises(BuildError, match="no hash"):
        list(locked("something==1.0\n", Target("bookworm", "amd64")))


@pytest.mark.parametrize("name", ["../outside.py", "/etc/passwd", "a/../../b.py"])
def test_a_wheel_cannot_write_outside_of_its_place(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "bad-1-py3-none-any.whl", "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(BuildError, match="outside"):
        unpack(tmp_path / "bad-1-py3-none-any.whl", tmp_path / "site")
    assert not list(tmp_path.rglob("outside.py"))


def test_two_builds_give_the_same_bytes(built):
    _, (first, second), _ = built
    assert first.read_bytes() == second.read_bytes()
    assert first.name == f"submeter-gateway_1.2.3+deb{SUITES[SUITE][0]}_amd64.deb"


def test_the_control_file_binds_it_to_the_python_of_the_suite(built):
    _, (package, _), target = built
    said = subprocess.run(["dpkg-deb", "--field", package], capture_output=True, text=True, check=True).stdout
    fields = dict(re.findall(r"^(\S+): (.*)$", said, re.MULTILINE))
    assert fields["Package"] == "submeter-gateway"
    assert fields["Depends"].startswith(f"python3 (>= {target.python}), python3 (<< {target.next_python})")
    assert int(fields["Installed-Size"]) > 10_000


def test_every_file_has_its_place_owner_and_rights(built):
    _, (package, _), target = built
    lines = subprocess.run(
        ["dpkg-deb", "--contents", package], capture_output=True, text=True, check=True
    ).stdout
    files = {
        line.split()[5].removeprefix("."): (line.split()[0], line.split()[1]) for line in lines.splitlines()
    }
    assert {owner for _, owner in files.values()} == {"root/root"}
    assert not [name for name, (rights, _) in files.items() if rights[0] == "-" and rights[8] == "w"]
    site = f"/{site_packages(target)}"
    for wanted in (
        "/usr/bin/submeter", "/opt/submeter/bin/submeter", f"{site}/gateway/cli/run.py",
        f"{site}/pymodbus/__init__.py", f"{site}/gateway/catalogue/drivers/eastron-sdm630.yaml",
        "/usr/lib/systemd/system/submeter-gateway.service", "/usr/share/man/man1/submeter.1",
        "/usr/lib/systemd/system/submeter-upgrade.service", "/usr/lib/submeter/versions.json",
        "/usr/lib/systemd/system/submeter-install.service", "/usr/lib/systemd/system/submeter-card.service",
        "/usr/lib/systemd/system/submeter-backup.service", "/usr/lib/systemd/system/submeter-backup.timer",
        "/usr/lib/systemd/system/submeter-provision.service",
        "/usr/lib/systemd/system/submeter-sign.service",
        "/usr/lib/systemd/system/submeter-enroll.service", "/etc/avahi/services/submeter-gateway.service",
        "/usr/share/zsh/vendor-completions/_submeter", "/usr/share/fish/vendor_completions.d/submeter.fish",
        "/usr/lib/udev/rules.d/60-submeter.rules", "/usr/lib/sysusers.d/submeter.conf",
        "/usr/share/man/tr/man1/submeter.1", "/usr/share/bash-completion/completions/submeter",
        "/usr/lib/systemd/journald.conf.d/60-submeter.conf",
        "/usr/lib/systemd/system.conf.d/60-submeter.conf", "/usr/share/doc/submeter-gateway/sbom.cdx.json",
        "/usr/share/doc/submeter-gateway/copyright",
        "/opt/submeter/share/doc/submeter-gateway/docs/operation.md",
    ):  # fmt: skip
        assert wanted in files, wanted
    assert {
        files[name][0] for name in ("/opt/submeter/bin/submeter", "/usr/lib/submeter/submeter-upgrade")
    } == {"-rwxr-xr-x"}
    # What stands in /etc is the technician's; a service of avahi is a conffile.
    assert all(
        name.startswith("/etc/avahi/")
        for name in files
        if name.startswith("/etc/") and not name.endswith("/")
    )
    assert not [name for name in files if "__pycache__" in name or "/tests/" in name.removeprefix(site)[:8]]


def test_it_runs_without_what_was_left_out_and_without_this_environment(built):
    tree, _, target = built
    command = [
        sys.executable,
        "-I",
        "-S",
        "-W",
        "error::ImportWarning",
        "-c",
        RUNS_HERE,
        str(tree / site_packages(target)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_list_of_what_is_inside_names_every_library_with_version_license_and_hash(built):
    tree, _, target = built
    listed = json.loads((tree / "usr/share/doc/submeter-gateway/sbom.cdx.json").read_text())
    assert (listed["bomFormat"], listed["specVersion"]) == ("CycloneDX", "1.6")
    known = {re.sub(r"[-_.]+", "-", part["name"]).lower(): part for part in listed["components"]}
    for library in locked(LOCK, target):
        part = known.pop(re.sub(r"[-_.]+", "-", library.name).lower())
        assert part["version"] == library.version
        assert part["hashes"][0]["content"] in library.line
        assert part["licenses"], library.name
    assert not known


def test_the_manual_has_every_command_and_is_sound(built):
    tree, _, _ = built
    for folder in ("man1", "tr/man1"):
        page = tree / "usr/share/man" / folder / "submeter.1"
        text = page.read_text().replace(r"\-", "-")
        assert all(f".SS submeter {name} " in text for name in COMMANDS)
        if shutil.which("groff"):
            done = subprocess.run(
                ["groff", "-k", "-man", "-ww", "-Tutf8", page], capture_output=True, text=True, check=True
            )
            assert done.stderr == ""
    assert "YAPILANDIRMA" in (tree / "usr/share/man/tr/man1/submeter.1").read_text().upper()


def test_scripts_and_completion_are_sound_shell(built):
    tree, _, _ = built
    scripts = [ROOT / "packaging/debian" / name for name in ("preinst", "postinst", "prerm", "postrm")]
    for script in scripts:
        subprocess.run(["sh", "-n", script], check=True)
    subprocess.run(["bash", "-n", tree / "usr/share/bash-completion/completions/submeter"], check=True)
    assert "_SUBMETER_COMPLETE" in (tree / "usr/share/bash-completion/completions/submeter").read_text()


def test_the_page_of_proofs_is_written_by_the_prover():
    assert "packaging" in PROOFS["prove-package"].paths
    assert Path(ROOT / "tests/package/__main__.py").exists()
