"""Carry out a plan on a chip, so that it can be interrupted anywhere and resumed.

Every step begins with a look at the chip. What fails on the way is tried again from there; after a lost probe the next
run looks again. Success is what the chip itself reports at the end, and nothing else.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from flasher import registers as reg
from flasher.acceptance import Acceptance
from flasher.boot_guard import boot_from_sram1, give_back, repair_options
from flasher.chip import ChipDriver
from flasher.cpu2 import Contact
from flasher.device import Options
from flasher.errors import (
    ChipError,
    FlasherError,
    ProbeError,
    RefusedError,
    StillAtWorkError,
    StoppedError,
    while_fus_may_run,
)
from flasher.facts import Facts, difference, option_refusals
from flasher.journal import Journal
from flasher.mailbox import DeviceInfo
from flasher.plan import InstallPlan, InstallStep, make_plan, refuse_delete
from flasher.session import Say, Session, Stop
from flasher.steps import WorkingFlash, carry_out_step, delete_stack
from imagekit.bundle.verified import VerifiedBundle

_WRITTEN_BY_CPU2 = ("SFR", "SRRVR")
Agree = Callable[[InstallPlan], InstallPlan]


def _agree(plan: InstallPlan) -> InstallPlan:
    return plan


@contextmanager
def session(chip: ChipDriver, journal: Journal, say: Say, stop: Stop, *, restores: bool = True) -> Iterator[Session]:
    """Work on a connected chip, and give it back: option bytes as they were, CPU1 running.

    A chip is not given back when the probe is lost or FUS may be running: the next run does that. Nor when nothing
    on it was changed. `restores`: whether option bytes may be written for it. Raises FlasherError.
    """
    current = Session(chip, journal, say, stop, restores)
    try:
        yield current
    except (FlasherError, KeyboardInterrupt) as error:
        if current.cpu2.contact is Contact.IDLE and not isinstance(error, ProbeError):
            with suppress(FlasherError):
                give_back(current)
        if isinstance(error, FlasherError) and _needs_warning(current, error):
            raise while_fus_may_run(error) from error
        raise
    if current.cpu2.contact is not Contact.IDLE:
        return
    try:
        give_back(current)
    except FlasherError as error:
        if _needs_warning(current, error):
            raise while_fus_may_run(error) from error
        raise


def _needs_warning(session: Session, error: FlasherError) -> bool:
    """Whether FUS may be running, and the error does not say so yet."""
    return session.cpu2.is_fus_at_work and not error.is_fus_at_work


# --- looking


def survey(session: Session, *, passive: bool = False) -> Facts:
    """Read the chip. `passive` leaves a CPU2 alone that is already running. Raises ChipError, ProbeError."""
    chip = session.chip
    info = session.cpu2.peek()
    _refuse_options(session, is_fus_at_work=_may_fus_be_running(session, info) and not passive)
    if passive and info is not None and info.nvm_job is not None:
        raise StillAtWorkError(f"{info.nvm_job.value} is running, so the versions cannot be read")
    if info is None or not passive:
        info = session.cpu2.begin()
    options = _refuse_options(session)
    target = chip.identity.target
    end = min(target.sector_address(options.sfsa), target.limit)
    session.step = "scan"
    flash = session.flash.read(reg.FLASH_BASE, end, session.progress(end - reg.FLASH_BASE))
    return Facts(identity=chip.identity, options=options, info=info, flash=flash)


def _refuse_options(session: Session, *, is_fus_at_work: bool = False) -> Options:
    """Return the option registers. Raises ChipError when they forbid any work on this chip."""
    options = session.chip.options()
    if reasons := option_refusals(options, is_fus_at_work=is_fus_at_work):
        raise ChipError("; ".join(reasons))
    return options


def _may_fus_be_running(session: Session, info: DeviceInfo | None) -> bool:
    """Whether FUS may be in the middle of something: it runs, or must be started again after a reset."""
    if info is None:
        return session.journal.history.is_unfinished
    return info.is_fus


# --- a whole installation


def install(session: Session, bundle: VerifiedBundle, acceptance: Acceptance, agree: Agree = _agree) -> InstallPlan:
    """Bring the chip to what the bundle holds, and return the plan that was carried out.

    `agree` may ask the user about a plan, and returns one. Raises RefusedError with the reasons against the plan,
    StoppedError between two steps, ChipError, FusError and ProbeError.
    """

    def look() -> Facts:
        repair_options(session, acceptance.accept)
        return survey(session)

    plan = agree(make_plan(bundle, session.retried(look), session.journal.history, acceptance))
    if plan.refusals:
        raise RefusedError(*plan.refusals)
    if plan.steps:
        carry_out(session, plan)
        return plan
    if session.journal.history.is_unfinished:
        session.journal.note("done", step="found as it should be")
    if session.journal.history.sequences.get(bundle.manifest.name, -1) < bundle.manifest.sequence:
        _note_begin(session, plan)
    return plan


def carry_out(session: Session, plan: InstallPlan) -> None:
    """Carry out exactly this plan, on exactly the chip that it was made for."""
    session.retried(lambda: _refuse_change(session, plan))
    _note_begin(session, plan)
    boot_from_sram1(session, plan.facts.options, plan.facts.info.fus)
    flash = WorkingFlash(session, bytearray(plan.facts.flash))
    for step in plan.steps:
        if session.stop():
            raise StoppedError(f"stopped before {step.title}; run it again to go on")
        session.step = step.title
        _note_step(session, step)
        session.tell("begin")
        carry_out_step(session, plan, step, flash)
        session.journal.note("done", step=step.title)
        session.tell("end")
    session.retried(lambda: _refuse_other_result(session, plan))
    info = session.cpu2.info
    stack = info.stack.full_text if info.stack else None
    session.journal.note("result", code=0, fus=info.fus.text, stack=stack)


def _note_begin(session: Session, plan: InstallPlan) -> None:
    """Note which bundle this chip received."""
    manifest, steps = plan.bundle.manifest, [step.title for step in plan.steps]
    session.journal.note("begin", bundle=manifest.name, sequence=manifest.sequence, steps=steps)


def _note_step(session: Session, step: InstallStep) -> None:
    """Note a step before it is carried out, with the sectors that it programs. Sectors that it only erases are not."""
    noted: dict[str, str] = {}
    if step.staging:
        noted = {"start": f"0x{step.staging.area.start:08X}", "end": f"0x{step.staging.area.end:08X}"}
    if step.action == "install-stack" and step.image:
        noted["stack"] = step.image
    session.journal.note("step", step=step.title, **noted)


def _refuse_change(session: Session, plan: InstallPlan) -> None:
    """Raise ChipError when the chip has changed since the plan was made, TargetUnavailableError when it is another."""
    session.chip.reconnect()
    facts, info = plan.facts, session.cpu2.begin()
    found = (session.chip.options(), info.fus, info.stack)
    if found != (facts.options, facts.info.fus, facts.info.stack):
        raise ChipError("the chip is not as it was when the plan was made; run the command again to plan again")


def _refuse_other_result(session: Session, plan: InstallPlan) -> None:
    """Raise ChipError unless the chip reports what the bundle holds (versions, sectors, SRAM2)."""
    manifest, info = plan.bundle.manifest, session.cpu2.info
    options = session.chip.options()
    last = next(image for image in manifest.images if image.sha256 == manifest.steps[-1].image)
    if last.role == "stack" and (reason := difference(last, info, options)):
        raise ChipError(f"the installation ended, but the chip reports {reason}")
    for name, word in plan.facts.options.words.items():
        if name not in (*_WRITTEN_BY_CPU2, "OPTR") and options.words[name] != word:
            raise ChipError(
                f"the installation ended, but {name} changed from 0x{word:08X} to 0x{options.words[name]:08X}"
            )


# --- single operations


def delete(session: Session) -> Facts:
    """Delete the installed stack, whatever it is. Raises RefusedError, ChipError, FusError, ProbeError."""
    facts = survey(session)
    if facts.info.stack is None:
        return facts
    refuse_delete(facts)
    boot_from_sram1(session, facts.options, facts.info.fus)
    session.step = "delete-stack"
    session.journal.note("step", step=session.step)
    session.tell("begin")
    delete_stack(session)
    session.journal.note("done", step=session.step)
    session.tell("end")
    return facts


def start_stack(session: Session) -> DeviceInfo:
    """Start the installed stack. Raises ChipError, FusError, ProbeError."""
    _refuse_options(session, is_fus_at_work=_may_fus_be_running(session, session.cpu2.peek()))
    info = session.cpu2.begin()
    if info.stack is None:
        raise ChipError("no stack is installed, so none can be started; install a bundle")
    if info.is_fus:
        boot_from_sram1(session, _refuse_options(session), info.fus)
        session.step = "start-stack"
        session.journal.note("step", step=session.step)
        session.tell("begin")
        session.cpu2.start_stack()
        session.journal.note("done", step=session.step)
        session.tell("end")
    return session.cpu2.info
