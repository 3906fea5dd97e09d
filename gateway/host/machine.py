"""What the kernel's files say of this machine: heat, supply, memory, load, disks. Only read, never changed.

Every answer is None where the machine has no such sensor: nothing is made up.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

_SECTOR = 512
"""Bytes, whatever the disk's own sectors are (Documentation/block/stat.rst)."""
_WRITTEN_FIELD = 6
"""Of /sys/block/<disk>/stat: sectors written."""
_CPU = ("cpu", "soc", "x86_pkg")
"""In the type of a thermal zone that is the processor's: cpu-thermal on a Raspberry Pi."""
_SUPPLY = "rpi_volt"
"""Driver that asks the firmware of a Raspberry Pi every 2 s (drivers/hwmon/raspberrypi-hwmon.c)."""
_MOUNT_FIELDS = 4
_RESERVE_USED = {2: 80, 3: 90}
"""EXT_CSD 267, PRE_EOL_INFO: a warning, an urgent one → per cent of the reserved blocks that are used up."""
_MOST = 200
"""Per cent: how far an estimate goes."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system: its device, kind, options and where it is mounted (proc(5), mounts)."""

    device: str = ""
    kind: str = ""
    options: tuple[str, ...] = ()
    point: str = ""


@dataclass(frozen=True, slots=True)
class MachineFiles:
    """The kernel's files; `root` is the top of them, for tests."""

    root: Path = Path("/")

    def text(self, path: str) -> str:
        """A small file; empty when it is not there."""
        try:
            return (self.root / path).read_text(errors="replace").strip()
        except OSError:
            return ""

    def files(self, pattern: str) -> list[Path]:
        """Files by pattern."""
        return sorted(self.root.glob(pattern))

    def _number(self, path: str) -> float | None:
        try:
            return float(self.text(path))
        except ValueError:
            return None

    def temperatures(self) -> dict[str, float]:
        """°C by thermal zone, as its folder and type are called."""
        found = {}
        for zone in self.files("sys/class/thermal/thermal_zone*"):
            name = str(zone.relative_to(self.root))
            heat = self._number(f"{name}/temp")
            if heat is not None:
                found[f"{zone.name} {self.text(f'{name}/type')}"] = heat / 1000
        return found

    def cpu_temperature(self) -> float | None:
        """°C of the processor, the hottest zone that is its own."""
        heats = self.temperatures().items()
        return max((heat for name, heat in heats if any(word in name.lower() for word in _CPU)), default=None)

    def supply_alarm(self) -> Path | None:
        """The file that holds 1 while the supply of a Raspberry Pi is too low; the kernel renews it every
        2 s.
        """
        for name in self.files("sys/class/hwmon/*/name"):
            alarm = name.with_name("in0_lcrit_alarm")
            if self.text(str(name.relative_to(self.root))) == _SUPPLY and alarm.exists():
                return alarm
        return None

    def cpu_load(self) -> float | None:
        """Processes that ran or waited for a processor, the mean of a minute (proc(5), loadavg)."""
        first, _, rest = self.text("proc/loadavg").partition(" ")
        return float(first) if rest else None

    def memory_available(self) -> int | None:
        """Bytes that programs could still have (proc(5), meminfo: MemAvailable)."""
        for line in self.text("proc/meminfo").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return None

    def mount(self, place: Path) -> Mount:
        """The file system that a folder is on."""
        best, longest = Mount(), -1
        for line in self.text("proc/self/mounts").splitlines():
            parts = line.split(" ")
            if len(parts) < _MOUNT_FIELDS:
                continue
            point = parts[1].replace("\\040", " ")
            if place.is_relative_to(point) and len(point) >= longest:
                best, longest = Mount(parts[0], parts[2], tuple(parts[3].split(",")), point), len(point)
        return best

    def disk(self, device: str) -> str:
        """The disk that a partition is of: mmcblk0 of /dev/mmcblk0p2; empty for what is no disk."""
        name = Path(device).name if device.startswith("/dev/") else ""
        for block in self.files("sys/block/*"):
            if name == block.name or (name and (block / name).exists()):
                return block.name
        return ""

    def written(self, disk: str) -> int | None:
        """Bytes written to a disk since the machine was started, by all programs."""
        numbers = self.text(f"sys/block/{disk}/stat").split() if disk else []
        return int(numbers[_WRITTEN_FIELD]) * _SECTOR if len(numbers) > _WRITTEN_FIELD else None

    def written_ever(self, disk: str) -> int | None:
        """Bytes written to the ext4 file systems of a disk since they were made, over all starts of the
        machine.
        """
        parts = [disk, *(part.name for part in self.files(f"sys/block/{disk}/{disk}*"))] if disk else []
        found = [self.text(f"sys/fs/ext4/{part}/lifetime_write_kbytes") for part in parts]
        kilobytes = [int(each) for each in found if each.isdigit()]
        return 1024 * sum(kilobytes) if kilobytes else None

    def life_used(self, disk: str, endurance: int | None = None) -> int | None:
        """Per cent of its life that a disk has used. An eMMC says it itself, in tens (JEDEC JESD84-B51,
        EXT_CSD 267 to 269: life of both kinds of memory, and of its reserve). An SD card does not: what was
        written to it ever, of the `endurance` in bytes that its maker names.
        """
        life = self._codes(f"sys/block/{disk}/device/life_time") if disk else []
        reserve = self._codes(f"sys/block/{disk}/device/pre_eol_info") if disk else []
        used = max([10 * max(life, default=0), *(_RESERVE_USED.get(each, 0) for each in reserve)])
        if used:
            return used
        written = self.written_ever(disk)
        return None if endurance is None or written is None else min(round(100 * written / endurance), _MOST)

    def _codes(self, path: str) -> list[int]:
        return [int(each, 16) for each in self.text(path).split() if each.startswith("0x")]

    @staticmethod
    def free(place: Path) -> int | None:
        """Bytes that are free where a folder is."""
        try:
            return shutil.disk_usage(place).free
        except OSError:
            return None
