"""Boards that an older version wrote: the members that they lack get the value that the chip had without them."""

from typing import Any

from flasher.sim.behaviour import Behaviour
from flasher.sim.codec import encode

OLD_SCHEMA = "flasher.sim.board/1"
_FIRST_CONTACT = {"idle": "none", "unknown-error": "ff"}


def upgraded(document: dict[str, Any]) -> dict[str, Any]:
    """Return a board of the first version as one of this version.

    Raises:
        KeyError, TypeError, AttributeError: it is not a board of the first version either.
    """
    secret = {"nvm_sectors": 0, "nvm_job": None, "bonding": "none"} | document["secret"]
    if secret["operation"] is not None:
        secret["operation"] = {"idle_gap": 0.0, "idle_until": 0.0} | secret["operation"]
    flash = dict(document["flash"])
    flash["registers"] = {"cache": {}} | flash["registers"]
    changes = {
        "faults": [],
        "behaviour": _behaviour(dict(document["behaviour"])),
        "secret": secret,
        "flash": flash,
        "cpu2": {"ready_due": None} | document["cpu2"],
    }
    return document | changes


def _behaviour(old: dict[str, Any]) -> dict[str, Any]:
    is_strict = old.pop("all_ones_is_programmed")
    old["ff_pages"] = "not" if is_strict else "programmable"
    old["first_contact"] = _FIRST_CONTACT[old["first_contact"]]
    defaults: dict[str, Any] = encode(Behaviour())
    return defaults | old
