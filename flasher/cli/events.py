"""Events as JSON documents: repeated identical states are one event with a count."""

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class StateMerger:
    """Holds a state of FUS back until something else happens, and counts how often it was read."""

    _held: dict[str, Any] | None = None

    def add(self, document: dict[str, Any]) -> list[dict[str, Any]]:
        """Take one event; return those that are complete."""
        if self._held is not None and _is_same(self._held, document):
            self._held["count"] += 1
            return []
        complete = self.flush()
        if is_polled(document["event"], document.get("text", "")):
            self._held = {**document, "count": 1}
            return complete
        return [*complete, document]

    def flush(self) -> list[dict[str, Any]]:
        """Return the state that is held back, if there is one."""
        if self._held is None:
            return []
        complete, self._held = [self._held], None
        return complete


def is_polled(event: str, text: str) -> bool:
    """Return whether an event is a state byte that was read from FUS; a message for the user is never held back."""
    return event == "state" and text.startswith("0x")


def _is_same(held: dict[str, Any], document: dict[str, Any]) -> bool:
    return all(held[name] == document.get(name) for name in ("event", "step", "text"))
