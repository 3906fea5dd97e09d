"""The step of `submeter setup` that is about the platform: its address, who we are there, and a batch out and
its receipt back.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from gateway.cli.client import control_client
from gateway.cli.doctor import newest_batch
from gateway.cli.doctor_words import tell
from gateway.cli.language import _, in_words
from gateway.cli.prose import say
from gateway.cli.questions import ask, confirm
from gateway.cli.setup_answers import Answers, Setup
from gateway.commissioning.doctor import examine_uplink
from gateway.commissioning.setup import flaws, make_test_batch, written
from gateway.common.files import LOAD_SECRETS, SECRETS
from gateway.config import parse_config
from gateway.errors import GatewayError
from gateway.host import kernel_synced, uptime_ms, write_secret
from gateway.wire import peek_gateway


def uplink(s: Setup) -> None:
    """The platform, and whether what goes there comes back confirmed."""
    if not s.answers.get("gateway", {}).get("id"):
        raise GatewayError("the gateway has no id yet", hint="submeter setup identity")
    if s.asks:
        before = (s.answers.get("uplinks") or [{}])[0]
        explain = _(
            "Like mqtts://platform:8883; mqtt:// is for a broker on this machine. Enter skips it, - takes "
            "it out."
        )
        url = ask(
            _("Address of the platform's broker?"),
            before.get("url", ""),
            explain,
            lambda text: "" if text == "-" else _wrong(s, {}, "url", text),
            needed=False,
        )
        others = (s.answers.get("uplinks") or [])[1:]
        s.answers["uplinks"] = [*([_asked_uplink(s, before, url)] if url and url != "-" else []), *others]
        s.keep()
    for each in s.answers.get("uplinks", ()):
        _try(s, each)


def _wrong(s: Setup, made: Answers, key: str, text: str) -> str:
    """What is wrong with one answer about the uplink; empty when nothing is."""
    value = [text] if key == "receipts" else text
    tried = {**s.answers, "uplinks": [{"name": "city", "url": "mqtts://city:1", **made, key: value}]}
    return in_words(flaws(tried, f"uplinks[0].{key}"))


def _asked_uplink(s: Setup, before: Answers, url: str) -> Answers:
    own = {"username", "password_file", "ca", "receipts"}
    made: Answers = {"name": "city", **{key: v for key, v in before.items() if key not in own}, "url": url}
    user = ask(
        _("User name there?"),
        before.get("username") or ("-" if before else str(s.answers["gateway"]["id"])),
        _("The name by which the broker knows this gateway; - for none."),
        lambda text: "" if text == "-" else _wrong(s, {}, "username", text),
    )
    if user != "-":
        made |= {"username": user, **_asked_password(s, made["name"], before)}
    if url.startswith(("mqtts:", "wss:")):
        ca = ask(
            _("File of the authority that signed its certificate?"),
            before.get("ca", ""),
            _(
                "A CA certificate (PEM), which who runs the broker gives. Enter: the authorities that this "
                "machine trusts."
            ),
            _no_file,
            needed=False,
        )
        made |= {"ca": ca} if ca else {}
    consumer = ask(
        _("Whose receipts make a reading delivered?"),
        ((before.get("receipts") or ["-"]) if before else ["city"])[0],
        _(
            "The platform's name in its receipts, as who runs it says; - for none: a reading is then "
            "delivered when the broker has it."
        ),
        lambda text: "" if text == "-" else _wrong(s, {}, "receipts", text),
    )
    return made | ({"receipts": [consumer]} if consumer != "-" else {})


def _asked_password(s: Setup, name: str, before: Answers) -> Answers:
    """The key of its file, which the daemon may read, and nobody else."""
    file = Path(before.get("password_file") or s.path.with_name(f"{name}.password"))
    text = _("Password (not shown)")
    if file.exists():
        text += " " + _("[as it is]")
    while (secret := click.prompt(text, hide_input=True, default="", show_default=False)) == "?":
        explain = _("It is kept in %(file)s, which only the gateway may read. Enter leaves it as it is.")
        say(explain % {"file": file}, "  ")
    if secret:
        try:
            write_secret(file, secret.encode() + b"\n")
            if os.geteuid() == 0 and file.parent != SECRETS:
                os.chown(file, 0, s.path.parent.stat().st_gid)
                file.chmod(0o640)
        except OSError as error:
            raise GatewayError(f"{file} cannot be written: {error.strerror}", hint="use sudo") from error
        if file.parent == SECRETS:
            say(_(LOAD_SECRETS), "  ", "→ ")
    return {"password_file": str(file)} if file.exists() else {}


def _no_file(text: str) -> str:
    return "" if Path(text).is_file() else _("There is no file %(file)s.") % {"file": text}


def _try(s: Setup, each: Answers) -> None:
    """Every step to the platform, and what the platform says of a batch."""
    config = parse_config(written(s.text, s.answers))
    uplink = next(found for found in config.uplinks if found.name == each["name"])
    synced = kernel_synced() or config.clock.trust == "system"
    examined = examine_uplink(
        uplink,
        config.gateway.id,
        sample=_sample(config, synced=synced),
        running=_running(s, uplink),
        synced=synced,
    )
    tell(examined)
    if not any(found.severity == "stops" for found in examined.found):
        return
    s.leave_open(_("Platform %(name)s does not confirm what it is sent.") % {"name": uplink.name})
    if s.asks and not confirm(
        _("Go on all the same?"), _("Readings wait on this gateway until it is mended."), default=False
    ):
        raise click.Abort


def _running(s: Setup, uplink: Any) -> dict[str, Any] | None:
    """What a running daemon that is connected there says of it; a second connection in its name would end
    its own.
    """
    client = control_client(s.socket)
    if client is None:
        return None
    with client:
        views: list[dict[str, Any]] = client.status()["uplinks"]
    return next(
        (view for view in views if (view["name"], view["where"]) == (uplink.name, str(uplink.broker))), None
    )


def _sample(config: Any, *, synced: bool) -> Any:
    """The newest batch of this gateway, else one without readings."""
    found = newest_batch(Path(config.journal.directory))
    if found is not None and peek_gateway(found.payload) == config.gateway.id:
        return found
    return make_test_batch(config.gateway.id, uptime_ms(), synced=synced)
