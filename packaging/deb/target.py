"""What a package is made for: a suite of Debian, which has one Python, and an architecture."""

from __future__ import annotations

from dataclasses import dataclass

SUITES = {"bookworm": ("12", "3.11", (2, 36)), "trixie": ("13", "3.13", (2, 41))}
"""Name → release of Debian, its Python, its C library."""
MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "armhf": "armv7l"}
"""Debian's name of an architecture → the kernel's."""
_FROM_SDIST = {
    ("bookworm", "armhf"): frozenset({"cffi", "lgpio", "pyyaml"}),
    ("trixie", "armhf"): frozenset({"cffi", "lgpio", "pyyaml"}),
    ("trixie", "arm64"): frozenset({"lgpio"}),
}
_OLDEST_LIBC = 17
"""The C library of the oldest binary wheels for these machines: manylinux_2_17, alias manylinux2014."""


@dataclass(frozen=True)
class Target:
    """One package: a suite and an architecture."""

    suite: str
    architecture: str

    @property
    def release(self) -> str:
        """The release of Debian: 12."""
        return SUITES[self.suite][0]

    @property
    def python(self) -> str:
        """The Python of the suite: 3.11."""
        return SUITES[self.suite][1]

    @property
    def next_python(self) -> str:
        """The first Python that the libraries do not fit."""
        major, minor = self.python.split(".")
        return f"{major}.{int(minor) + 1}"

    @property
    def machine(self) -> str:
        """As the kernel calls it: x86_64."""
        return MACHINES[self.architecture]

    @property
    def from_sdist(self) -> frozenset[str]:
        """Libraries of the lock that have no wheel for it: they are built from their sources."""
        return _FROM_SDIST.get((self.suite, self.architecture), frozenset())

    @property
    def environment(self) -> dict[str, str]:
        """What the markers of a requirement are weighed against (PEP 508), on the machine that it is for."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }

    @property
    def wheels(self) -> list[str]:
        """What pip is told about wheels that run there: its Python, a C library no newer than the suite's."""
        major, newest = SUITES[self.suite][2]
        minors = range(newest, _OLDEST_LIBC - 1, -1)
        platforms = [f"manylinux_{major}_{minor}_{self.machine}" for minor in minors]
        platforms += [f"manylinux2014_{self.machine}"]
        number = self.python.replace(".", "")
        return [
            "--implementation=cp", f"--python-version={self.python}",
            *(f"--abi={abi}" for abi in (f"cp{number}", "abi3", "none")),
            *(f"--platform={platform}" for platform in platforms),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.suite} {self.architecture}"

    def file_name(self, version: str) -> str:
        """The name of the package's file."""
        return f"submeter-gateway_{self.version(version)}_{self.architecture}.deb"

    def version(self, version: str) -> str:
        """The version of the package, by which Debian compares: the program's, and the suite."""
        return f"{version}+deb{self.release}"
