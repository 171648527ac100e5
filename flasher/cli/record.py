"""What happened in one run: the source of the `result` event and of the report (docs/json.md)."""

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flasher.cli.failure import failure_lines, is_resumable
from imagekit import __version__
from imagekit.errors import ExitCode

if TYPE_CHECKING:
    from flasher.cli.options import OpenedBundle
    from flasher.device import Options
    from flasher.errors import FlasherError
    from flasher.mailbox import DeviceInfo
    from flasher.plan import InstallPlan
    from flasher.session import Event, Session


@dataclass(slots=True)
class StepRecord:
    """One step of a plan. `begun` is None for a step that was not reached."""

    title: str
    result: str = "not-started"
    begun: float | None = None
    duration_s: float | None = None

    def end(self, result: str, now: float) -> None:
        """Note how the step ended."""
        self.result = result
        self.duration_s = round(now - (self.begun or now), 3)


@dataclass(slots=True)
class RunRecord:
    """One run. Everything that is not known is None."""

    monotonic: Callable[[], float] = time.monotonic
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    begun: float = 0.0
    events: list[dict[str, Any]] = field(default_factory=list)
    steps: list[StepRecord] = field(default_factory=list)
    bundle: "OpenedBundle | None" = None
    session: "Session | None" = None
    options: "Options | None" = None
    """The option registers as they were found."""
    before: "DeviceInfo | None" = None
    after: "DeviceInfo | None" = None
    error: Exception | None = None
    code: int | None = None
    error_text: str | None = None
    _sizes: dict[str, int] = field(default_factory=dict)
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    """Of the pseudonyms in the report."""

    def __post_init__(self) -> None:
        """Start the clock."""
        self.begun = self.monotonic()

    def elapsed(self) -> float:
        """Return the seconds since the run began."""
        return round(self.monotonic() - self.begun, 3)

    def note_plan(self, plan: "InstallPlan") -> None:
        """Note what will be done, and what the chip had before."""
        from flasher.show import image_size

        self.before = plan.facts.info
        self.steps = [StepRecord(step.title) for step in plan.steps]
        self._sizes = {step.title: image_size(plan, step) for step in plan.steps if step.staging}

    def without_padding(self, event: "Event") -> "Event":
        """Return progress in bytes of the image's file: flash is written in double words (RM0434, section 3.3.8)."""
        size = self._sizes.get(event.step)
        if event.event != "progress" or size is None:
            return event
        return replace(event, done=min(event.done, size), of=min(event.of, size))

    def note_event(self, event: "Event") -> None:
        """Note the begin and the end of steps."""
        if event.event == "begin":
            step = self._step(event.step)
            step.begun, step.result = self.monotonic(), "failed"
        elif event.event == "end":
            self._step(event.step).end("done", self.monotonic())

    def _step(self, title: str) -> StepRecord:
        for step in self.steps:
            if step.title == title and step.result in ("not-started", "failed"):
                return step
        self.steps.append(StepRecord(title))
        return self.steps[-1]

    def succeed(self) -> None:
        """Note that everything was done, and what the chip reads back."""
        self.code = int(ExitCode.DONE)
        if self.session is not None:
            self.after = self.session.cpu2.info

    def fail(self, error: "FlasherError") -> None:
        """Note an error that the flasher raised on purpose."""
        self.error, self.code = error, int(error.code)
        self.error_text = "\n".join(failure_lines(error))

    def crash(self, error: BaseException, text: str, code: ExitCode) -> None:
        """Note any other end: a defect of the program, or Ctrl-C before the chip was reached."""
        self.error = error if isinstance(error, Exception) else None
        self.code, self.error_text = int(code), text

    # --- documents

    def result(self) -> dict[str, Any]:
        """Return the `result` event. Members are never left out."""
        at_work = self._fus_may_be_running()
        return {
            "event": "result",
            "code": self.code,
            "error": self.error_text,
            "fus_may_be_running": at_work,
            "safe_to_power_off": None if at_work is None else not at_work,
            "resumable": self._is_resumable(),
            **self._who(),
            "bundle": self._bundle(),
            "changed": self._has_changed(),
            "started": self.started.isoformat(timespec="seconds"),
            "duration_s": self.elapsed(),
            "steps": self._steps(),
            **_versions(self.after),
            "before": _versions(self.before) if self.before else None,
            "tool": __version__,
        }

    def _fus_may_be_running(self) -> bool | None:
        """Return None when the chip was never reached."""
        if getattr(self.error, "is_fus_at_work", False):
            return True
        if self.code == ExitCode.DONE:
            return False
        if self.session is not None and self.session.cpu2.is_fus_at_work:
            return True
        if self.session is None or self.code in (ExitCode.CRASHED, ExitCode.INTERRUPTED, None):
            return None
        return False

    def _is_resumable(self) -> bool:
        from flasher.errors import FlasherError

        return isinstance(self.error, FlasherError) and is_resumable(self.error)

    def _who(self) -> dict[str, Any]:
        if self.session is None:
            return {"uid": None, "probe": None, "probe_serial": None}
        probe = self.session.chip.probe.info
        return {"uid": self.session.chip.identity.uid, "probe": probe.kind, "probe_serial": probe.serial}

    def _bundle(self) -> dict[str, Any] | None:
        if self.bundle is None:
            return None
        manifest = self.bundle.verified.manifest
        return {
            "name": manifest.name,
            "sequence": manifest.sequence,
            "sha256": self.bundle.sha256,
            "signers": list(self.bundle.verified.signers),
        }

    def _has_changed(self) -> bool:
        return any(step.begun is not None for step in self.steps)

    def _steps(self) -> list[dict[str, Any]]:
        now = self.monotonic()
        for step in self.steps:
            if step.begun is not None and step.duration_s is None:
                step.end("failed", now)
        return [{"step": step.title, "result": step.result, "duration_s": step.duration_s} for step in self.steps]

    def report(self, *, keeps_serials: bool) -> bytes:
        """Return the report for support: never an image, and serial numbers only when they are asked for."""
        import platform

        from flasher.show import anonymous, chip_document, probe_document

        document: dict[str, Any] = {
            "schema": "flasher.report/1",
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {"flasher": __version__, "python": platform.python_version(), "system": platform.platform()},
            "bundle": self._bundle_in_report(),
            "result": self.result(),
            "events": self.events,
        }
        serials: tuple[str, ...] = ()
        if self.session is not None:
            probe = self.session.chip.probe
            serials = (probe.info.serial,)
            document["probe"] = probe_document(probe.info)
            document["chip"] = chip_document(self.session.chip.identity)
            document["probe_log"] = list(getattr(self.error, "log", ()) or getattr(probe, "log", ()))
        if self.options is not None:
            document["option_bytes"] = {name: f"0x{word:08X}" for name, word in self.options.words.items()}
        if not keeps_serials:
            schema = document["schema"]
            document = {**anonymous(document, *serials, salt=self.salt), "schema": schema}
        return json.dumps(document, indent=1).encode() + b"\n"

    def _bundle_in_report(self) -> dict[str, Any] | None:
        if self.bundle is None:
            return None
        manifest = self.bundle.verified.manifest
        images = [image.sha256 for image in manifest.images]
        return {"name": manifest.name, "sequence": manifest.sequence, "images": images}


def _versions(info: "DeviceInfo | None") -> dict[str, Any]:
    if info is None:
        return {"fus": None, "stack": None}
    return {"fus": info.fus.text, "stack": info.stack.full_text if info.stack else None}
