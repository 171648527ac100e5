"""Bonding data of the radio core: the section that keeps it, and the two jobs of CPU2 that move it (FUS 2).

Nothing about these jobs was measured: `Behaviour` has a setting for every open question. Sources: fus2-nvm 3 to 5 (what
is known per case), hardware-review 1 and 2 (values of shci.h v1.24.0).
"""

from flasher.sim.behaviour import Behaviour
from flasher.sim.parts import Part
from flasher.sim.secret import RunningNvmJob, Secret, Stack

_FUS_2 = 0x0200_0000


def is_fus_2(secret: Secret) -> bool:
    """Whether FUS is of the generation that preserves bonding data."""
    return secret.fus_version >= _FUS_2


def section_start(part: Part, secret: Secret) -> int:
    """Return the first address of the section; without one, the address just above the last sector for images."""
    return part.image_limit(secret.fus_version) - secret.nvm_sectors * part.page


def runs_jobs(behaviour: Behaviour, secret: Secret) -> bool:
    """Whether the installed stack has NVM jobs: FUS 2, the new format, and a duration."""
    stack = secret.stack
    return is_fus_2(secret) and stack is not None and stack.is_new_format and behaviour.nvm_job_seconds > 0


def destroy(secret: Secret) -> None:
    """Lose the bonding data, if there is any."""
    if secret.bonding in ("present", "kept"):
        secret.bonding = "destroyed"


def disturbed(behaviour: Behaviour, secret: Secret, why: str) -> None:
    """A reset, a command or flash work of CPU1 met a job: the data is lost, and by choice the chip too."""
    destroy(secret)
    if behaviour.nvm_reset_bricks and secret.nvm_job is not None:
        secret.dead = secret.dead or f"{why} while NVM {secret.nvm_job.kind} ran"


def stack_installed(behaviour: Behaviour, secret: Secret, old: Stack | None) -> None:
    """Decide what becomes of the data when a stack has been installed over `old`, or where none was."""
    new, had_section = secret.stack, secret.nvm_sectors > 0
    if new is None or not is_fus_2(secret):
        destroy(secret)  # no source claims that FUS 1 preserves anything (fus2-nvm 4)
        return
    comes_from_new_format = had_section or (old is not None and old.is_new_format)
    claim_section(behaviour, secret, new)
    if had_section and not new.is_new_format:
        return  # stays in its section; what a later stack makes of it is unknown (fus2-nvm 4)
    if not new.is_new_format or not comes_from_new_format:
        destroy(secret)
    elif not runs_jobs(behaviour, secret):
        restored(secret)


def claim_section(behaviour: Behaviour, secret: Secret, stack: Stack | None) -> None:
    """Have a section as large as the behaviour says now, if a stack of the new format runs or has just run."""
    if is_fus_2(secret) and stack is not None and stack.is_new_format:
        secret.nvm_sectors = max(secret.nvm_sectors, behaviour.nvm_section_sectors)


def stack_deleted(behaviour: Behaviour, secret: Secret, old: Stack | None) -> None:
    """FW_DELETE leaves the section, where there is one, and the data in it (hardware-review 2)."""
    claim_section(behaviour, secret, old)
    if not secret.nvm_sectors or not is_fus_2(secret):
        destroy(secret)


def purged(secret: Secret) -> None:
    """FW_PURGE deletes the section too (shci.h v1.24.0)."""
    secret.nvm_sectors = 0
    destroy(secret)


def restored(secret: Secret) -> None:
    """The new stack has the old one's data."""
    if secret.bonding == "present":
        secret.bonding = "kept"


def finished(secret: Secret) -> None:
    """End the job that runs."""
    job, secret.nvm_job = secret.nvm_job, None
    if job is not None and job.kind == "restore":
        restored(secret)


def begin(secret: Secret, kind: str) -> None:
    """Have CPU2 run a job after its next reset."""
    secret.nvm_job = RunningNvmJob(kind="backup" if kind == "backup" else "restore")
