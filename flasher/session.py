"""A chip that is being worked on, and what goes with it: FUS, flash, the journal and the events."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from flasher.chip import ChipDriver
from flasher.device import Flash, Fus, Progress
from flasher.errors import FlashError, ProbeError
from flasher.flash import FlashDriver
from flasher.fus import FusClient
from flasher.journal import Journal
from flasher.retry import retry

T = TypeVar("T")
ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happens: `begin`, `progress`, `state`, `reset` or `end` of a step. `done` and `of` are bytes."""

    event: str
    step: str = ""
    text: str = ""
    done: int = 0
    of: int = 0


Say = Callable[[Event], None]
Stop = Callable[[], bool]


@dataclass(slots=True)
class Session:
    """The chip and everything that goes with it. `restores`: whether option bytes may be written at the end."""

    chip: ChipDriver
    journal: Journal
    say: Say
    stop: Stop
    restores: bool = True
    step: str = ""
    cpu2: FusClient = field(init=False)
    fus: Fus = field(init=False)
    flash: Flash = field(init=False)

    def __post_init__(self) -> None:
        """Reach FUS and flash through the probe."""
        self.cpu2 = FusClient(self.chip, self.tell, has_open_step=self._has_open_step)
        self.fus = self.cpu2
        self.flash = FlashDriver(self.chip)

    def _has_open_step(self) -> bool:
        return self.journal.history.is_unfinished

    def tell(self, event: str, text: str = "", done: int = 0, of: int = 0) -> None:
        """Tell what happens in the present step."""
        self.say(Event(event=event, step=self.step, text=text, done=done, of=of))

    def progress(self, total: int) -> Progress:
        """Return what turns the sizes of moved blocks into progress events."""
        done = 0

        def count(size: int) -> None:
            nonlocal done
            done += size
            self.tell("progress", done=done, of=total)

        return count

    def retried(self, action: Callable[[], T], prepare: Callable[[], object] = lambda: None) -> T:
        """Do something that can be repeated. Before each further attempt the chip is reconnected and prepared."""

        def recover() -> None:
            self.chip.reconnect()
            prepare()

        return retry(action, ATTEMPTS, (ProbeError, FlashError), recover)

    def prepare_fus(self) -> None:
        """Reset the chip, and have FUS idle.

        An interrupted key sequence locks the flash until a reset. A reset from elsewhere looks the same.
        """
        self.cpu2.begin()
        if self.cpu2.info.is_fus:
            self.cpu2.restart()
        else:
            self.cpu2.enter_fus()
