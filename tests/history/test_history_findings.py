"""What the checks found is kept for page and commands: the newest of each kind, over restarts."""

from contextlib import closing

import pytest
from history_gateway import QUARTER, T0, Gateway

from gateway.energy import Finding
from gateway.errors import HistoryError
from gateway.history import HistoryReader
from gateway.history.events.findings import KEPT, KEPT_OF_A_KIND, NOTED, Findings, unpacked_findings

IMPORT = "active_energy_import"


def found(findings: Findings) -> list[tuple[str, str, int, int]]:
    kept = unpacked_findings(findings.packed().get("findings"))
    return [(each.meter, each.finding.kind, each.finding.t, each.seen) for each in kept]


def test_the_newest_of_each_kind_and_register_stay() -> None:
    findings = Findings()
    for t in range(3 * KEPT_OF_A_KIND):
        findings.add("m", IMPORT, Finding("gap", t))
    findings.add("m", "volume", Finding("gap", 0))
    kept = [t for meter, _, t, _ in found(findings)]
    assert sorted(kept) == [0, *range(2 * KEPT_OF_A_KIND, 3 * KEPT_OF_A_KIND)]


def test_of_very_many_the_newest_stay() -> None:
    findings = Findings()
    for t in range(KEPT + 50):
        findings.add(f"m{t}", IMPORT, Finding("gap", t))
    assert [t for _, _, t, _ in found(findings)] == list(range(50, KEPT + 50))


def test_the_same_one_again_is_no_other_one() -> None:
    findings = Findings()
    for _ in range(2):
        findings.add("m", IMPORT, Finding("reset", 5, {"from": 10**13, "to": 0}))
    assert found(findings) == [("m", "reset", 5, 5)]


def test_what_lasts_has_its_newest_time_and_nothing_else_has() -> None:
    findings = Findings()
    findings.add("m", "", Finding("wiring", 5, {}, {"what": "l1", "value": "0.3"}))
    findings.add("m", IMPORT, Finding("frozen", 6))
    findings.lasts("m", "", ["wiring", "network"], 9 * NOTED)
    findings.lasts("m", "", ["wiring"], 8 * NOTED)
    findings.lasts("other", IMPORT, ["frozen"], 9 * NOTED)
    assert found(findings) == [("m", "frozen", 6, 6), ("m", "wiring", 5, 9 * NOTED)]


def test_what_lasts_is_written_by_the_hour_and_not_at_every_save() -> None:
    findings = Findings()
    findings.add("m", "", Finding("wiring", 0, {}, {"what": "l1", "value": "0.3"}))
    saves = 0
    for t in range(0, 4 * NOTED, NOTED // 4):
        findings.lasts("m", "", ["wiring"], t)
        saves += bool(findings.packed())
        findings.saved()
    assert saves == 4


@pytest.mark.parametrize("packed", [b"", b"x", None])
def test_what_cannot_be_read_is_not_known(packed) -> None:
    assert unpacked_findings(packed) == []
    assert found(Findings(packed)) == []


class Reset(Gateway):
    """Its register begins anew after two hours."""

    def live(self) -> None:
        for k in range(30):
            self.uptime = k * QUARTER // 3
            self.commit([("m", {IMPORT: 5000.0 + k / 10 if k < 20 else (k - 20) / 10})])


def kinds(directory) -> set[str]:
    with closing(HistoryReader(directory)) as reader:
        return {each.finding.kind for each in reader.findings()}


def test_a_finding_is_in_the_file_after_a_save_and_a_kill(tmp_path) -> None:
    gateway = Reset(tmp_path)
    gateway.live()
    gateway.save()
    gateway.kill()
    assert "reset" in kinds(tmp_path)
    gateway.save()
    gateway.kill()
    assert "reset" in kinds(tmp_path)


def test_a_save_that_failed_is_made_good_by_the_next(tmp_path, monkeypatch) -> None:
    gateway = Reset(tmp_path)
    gateway.live()
    save = gateway.history.save

    def full(**known: bytes) -> None:
        raise HistoryError("the disk is full")

    monkeypatch.setattr(gateway.history, "save", full)
    with pytest.raises(HistoryError):
        gateway.save()
    monkeypatch.setattr(gateway.history, "save", save)
    gateway.save()
    assert "reset" in kinds(tmp_path)


def test_a_register_that_is_not_known_here_is_left_out() -> None:
    findings = Findings()
    findings.add("m", "of_a_later_version", Finding("reset", 5))
    findings.add("m", "", Finding("wiring", 6))
    assert found(findings) == [("m", "wiring", 6, 6)]


def test_a_meter_that_is_silent_says_nothing_any_more(tmp_path) -> None:
    gateway = Gateway(tmp_path)
    apart = {"active_power": 4.0, "apparent_power": 5.0, "power_factor": 0.2, IMPORT: 1.0}
    for k in range(0, 3000, 10):
        gateway.uptime = k * 60_000
        both = [("m", apart)] if k < 180 else []
        gateway.commit([*both, ("other", {IMPORT: 1.0 + k})])
    gateway.save()
    with closing(HistoryReader(tmp_path)) as reader:
        (one,) = [each for each in reader.findings() if each.finding.kind == "identity"]
    assert one.seen <= T0 + 180 * 60_000


def test_what_lasts_when_nothing_was_kept_is_told_once_more(tmp_path) -> None:
    """An earlier version told the platform alone."""
    gateway = Gateway(tmp_path)
    apart = {"active_power": 4.0, "apparent_power": 5.0, "power_factor": 0.2, IMPORT: 1.0}

    def live(first: int, last: int) -> None:
        for k in range(first, last):
            gateway.uptime = k * 60_000
            gateway.commit([("m", apart)])
        gateway.save()

    live(0, 20)
    gateway.history._conn.execute("DELETE FROM known WHERE name = 'findings'")
    gateway.kill()
    live(20, 40)
    assert "identity" in kinds(tmp_path)
    gateway.drain()
    told = [each for each in gateway.platform.findings if "identity" in each]
    gateway.kill()
    live(40, 60)
    gateway.drain()
    assert [each for each in gateway.platform.findings if "identity" in each] == told
    assert len(told) == 2


def test_what_lasts_at_a_save_is_told_as_lasting(tmp_path) -> None:
    gateway = Gateway(tmp_path)
    apart = {"active_power": 4.0, "apparent_power": 5.0, "power_factor": 0.2, IMPORT: 1.0}
    for k in range(80):
        gateway.uptime = k * 60_000
        gateway.commit([("m", apart)])
    gateway.save()
    with closing(HistoryReader(tmp_path)) as reader:
        (one,) = [each for each in reader.findings() if each.finding.kind == "identity"]
    assert (one.finding.t, one.seen) == (T0 + 4 * 60_000, T0 + 79 * 60_000)
