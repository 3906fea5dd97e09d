"""A person at a terminal of 60 columns: a command in a pseudo-terminal, its questions, what is typed."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Sequence

import pexpect

MOST = 90
"""s that an answer may take on a busy machine."""
COLUMNS = 60
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|[^\n]*\r(?!\n)")


def _heed_hangup() -> None:
    # As in a shell of one's own: whoever runs the tests under nohup(1) ignores it.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Typist:
    """`child` is the running command."""

    def __init__(
        self,
        *words: str,
        lang: str = "en",
        before: Sequence[str] = (),
        python: Sequence[str] = ("-m", "gateway"),
        **env: str,
    ) -> None:
        command = [*before, sys.executable, *python, *words, "--lang", lang]
        self.child = pexpect.spawn(
            command[0], command[1:], encoding="utf-8", timeout=MOST, dimensions=(40, COLUMNS),
            env={**os.environ, "COLUMNS": str(COLUMNS), "LANG": "C.UTF-8", **env},
            preexec_fn=_heed_hangup,
        )  # fmt: skip
        self._heard: list[str] = []

    def hears(self, text: str) -> str:
        """Wait until it says this; gives what it said until then."""
        self.child.expect(text)
        self._heard += [str(self.child.before), str(self.child.after)]
        return str(self.child.before)

    def answers(self, question: str, text: str = "") -> str:
        """Wait for a question and its prompt, and type; gives what stood between them."""
        self.hears(question)
        between = self.hears(r"> $|Password[^:]*: $|Parola[^:]*: $")
        self.child.sendline(text)
        return between

    def ends(self) -> int:
        """Wait for its end; gives the exit code."""
        self.child.expect(pexpect.EOF)
        self._heard.append(str(self.child.before))
        self.child.wait()  # `close` gives it a tenth of a second
        self.child.close()
        return int(self.child.exitstatus if self.child.exitstatus is not None else -1)

    def interrupts(self) -> None:
        """Ctrl-C."""
        self.child.sendintr()

    def loses_the_session(self) -> None:
        """The terminal is gone, as when SSH breaks: the command is hung up."""
        os.kill(self.child.pid, signal.SIGHUP)
        self.child.wait()  # `close` gives it a tenth of a second
        self.child.close()

    @property
    def text(self) -> str:
        """What was on the screen so far, without what moved."""
        return _CONTROL.sub("", "".join(self._heard).replace("\r\n", "\n"))

    @property
    def too_wide(self) -> list[str]:
        """Lines that the terminal had to break; what a person typed aside, and names that cannot be
        broken.
        """
        return [
            line
            for line in self.text.splitlines()
            if len(line) > COLUMNS and "> " not in line and " " in line.strip()
        ]
