"""The answers of `submeter setup`, kept as they are given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gateway.cli.language import in_words
from gateway.cli.prose import say
from gateway.cli.questions import ask
from gateway.commissioning.setup import answers_of, flaws, merged
from gateway.config import read_text
from gateway.errors import ConfigError, GatewayError
from gateway.host import write_secret

Answers = dict[str, Any]


class Setup:
    """Answers on their way into the configuration at `path`; kept beside it, readable by nobody else."""

    def __init__(self, path: Path, socket: Path | None, given: Answers | None) -> None:
        """`given`: the answers of a file; nothing is asked then. Raises GatewayError."""
        self.path, self.socket, self.asks = path, socket, given is None
        self.kept = path.with_name(path.name + ".setup")
        self.answers: Answers = merged(answers_of(self.text), given or {})
        self.done: list[str] = []
        self.open: list[str] = []

    def recall(self) -> bool:
        """Whether something was answered before."""
        try:
            state = json.loads(self.kept.read_text(encoding="utf-8"))
            self.answers, self.done = dict(state["answers"]), list(state["done"])
        except (OSError, ValueError, LookupError, TypeError):
            return False
        return True

    def keep(self) -> None:
        """Write down what was answered. Raises GatewayError."""
        try:
            folder = self.path.parent
            folder.mkdir(parents=True, exist_ok=True)
            state = {"answers": self.answers, "done": self.done}
            write_secret(self.kept, json.dumps(state, ensure_ascii=False).encode())
        except OSError as error:
            raise GatewayError(f"{self.kept} cannot be written: {error.strerror}", hint="use sudo") from error

    def leave_open(self, text: str) -> None:
        """Something that nobody was asked about stays to be done: it is said at once, and at the end."""
        if not self.asks:
            say(text, "  ", "! ")
            self.open.append(text)

    def put(
        self,
        section: str,
        key: str,
        question: str,
        default: str = "",
        explain: str = "",
        *,
        needed: bool = True,
    ) -> None:
        """Ask for one key of a section of the configuration."""
        values = self.answers.setdefault(section, {})

        def flaw(text: str) -> str:
            tried = {**self.answers, section: {**values, key: plain(text)}}
            return in_words(flaws(tried, f"{section}.{key}"))

        values[key] = plain(ask(question, str(values.get(key) or default), explain, flaw, needed=needed))
        self.keep()

    @property
    def text(self) -> str:
        """The file as it is; empty where there is none, or only the sample. Raises GatewayError."""
        try:
            self.path.stat()
        except FileNotFoundError:
            return ""
        except OSError:
            pass  # whoever opens it says why
        text, problems = read_text(self.path)
        if text is None:
            raise ConfigError(problems)
        return "" if "platform.example" in text and "izm-konak-017" in text else text


def plain(text: str) -> Any:
    """A number where one was typed, else the text."""
    try:
        return int(text)
    except ValueError:
        try:
            return float(text.replace(",", "."))
        except ValueError:
            return text
