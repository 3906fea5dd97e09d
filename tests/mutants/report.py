"""What the mutation run found, as docs/mutants.md and as a section of docs/proofs.md."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from tests import proofs

UNEXPLAINED = "no test asks for it"
SHOWN = 90
"""Characters of a change that a row shows."""

HEAD = """# Mutants

Made by `make mutants`. Do not edit by hand.

Small changes of the code, sampled with seed {seed} from the central modules of six rooms: a comparison with \
its neighbour, `and`
for `or`, a dropped `not`, a negated condition, + for −, a number one higher or lower, a flag turned, \
a statement left out, `None`
returned. Each meets the tests that run its line, the quickest first, \
in a process of its own. It is killed when one of them fails,
or does not end in its time; what no test notices has survived. Figures at the level of a module, \
log lines, and words of errors are
not changed. Tests that run the gateway as a process are not among those that it meets.

{when}

**{killed} of {all} killed: {share:.1f} %.**{slow}{rest}

| room | mutants | killed | survived | % |
|---|---|---|---|---|
{rooms}

| module | mutants | killed | survived |
|---|---|---|---|
{modules}

## Survivors

{survivors}
"""


def reasons(root: Path) -> dict[tuple[str, str, str], str]:
    """Why a mutant may live: from tests/mutants/reasons.txt."""
    found = {}
    for line in (root / "tests/mutants/reasons.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            module, was, text, why = (part.strip() for part in line.split(" | "))
            found[module, was, text] = why
    return found


def one_line(text: str) -> str:
    """A change as it stands in a table."""
    return " ".join(text.split()).replace("|", "/")


def write_report(
    root: Path, commit: str, results: list[dict[str, Any]], total: int, seed: int, *, drawn: str = ""
) -> None:
    """Write both pages. `drawn`: when and where the sample was drawn and met first, if its survivors alone
    were met now.
    """
    known = reasons(root)
    survived = [result for result in results if result["verdict"] == "survived"]
    slow = sum(result["verdict"] == "timed out" for result in results)
    count, alive = (
        Counter(result["module"] for result in results),
        Counter(result["module"] for result in survived),
    )
    per_room, alive_in = Counter(), Counter()
    for module, of_it in count.items():
        per_room[module.split("/")[1]] += of_it
        alive_in[module.split("/")[1]] += alive[module]
    rows = []
    for result in sorted(survived, key=lambda each: (each["module"], each["line"])):
        was, text = one_line(result["was"]), one_line(result["text"])
        why = known.get((result["module"], was, text), UNEXPLAINED)
        rows.append(f"| {result['module']} | {result['line']} | `{was[:SHOWN]}` | `{text[:SHOWN]}` | {why} |")
    killed = len(results) - len(survived)
    share = 100 * killed / max(1, len(results))
    when = proofs.when(commit)
    if drawn:
        when = f"Drawn and met first: {drawn}\n\nSurvivors met again: {when}"
    left = total - len(results)
    rooms = [
        f"| {room} | {n} | {n - alive_in[room]} | {alive_in[room]} | {100 * (n - alive_in[room]) / n:.0f} |"
        for room, n in per_room.items()
    ]
    modules = [
        f"| {module} | {n} | {n - alive[module]} | {alive[module]} |" for module, n in sorted(count.items())
    ]
    table = ["| module | line | was | became | why it lives |", "|---|---|---|---|---|", *rows]
    page = HEAD.format(
        seed=seed,
        when=when,
        killed=killed,
        all=len(results),
        share=share,
        slow="" if drawn else f" {slow} of them because a test did not end in its time.",
        rest=f" {left} of the {total} that were drawn have not been run." if left else "",
        rooms="\n".join(rooms),
        modules="\n".join(modules),
        survivors="\n".join(table) if rows else "None.",
    )
    (root / "docs/mutants.md").write_text(page)
    unexplained = sum(UNEXPLAINED in row for row in rows)
    proofs.write(
        "mutants",
        commit,
        f"{killed} of {len(results)} mutants killed ({share:.1f} %); {len(survived)} survive, "
        f"{unexplained} of them without a reason. Each with its line: [mutants.md](mutants.md)."
        + (f" Drawn and met first: {drawn} Here the survivors were met again." if drawn else ""),
    )
    print(
        f"{killed} of {len(results)} killed ({share:.1f} %), {left} not run; docs/mutants.md has the "
        f"survivors"
    )
