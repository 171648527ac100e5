"""The images that a plan may use, and which of them it is to end with."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from imagekit.assessment import Assessment
from imagekit.catalogue import StName
from imagekit.errors import PlanError
from imagekit.fus_versions import given_fus
from imagekit.image.model import Image, ImageKind
from imagekit.targets import Target
from imagekit.text import printable


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image that may be used, and where it was found."""

    path: str
    assessment: Assessment
    is_named: bool
    """Whether the user named this file, and did not name a folder that holds it."""

    @property
    def image(self) -> Image:
        """The image itself."""
        return self.assessment.image

    @property
    def variants(self) -> tuple[str, ...]:
        """ST's names for it: those of the catalogue, or else that of the file."""
        name = StName.parse(PurePath(self.path).name)
        return self.assessment.variants or ((name.variant,) if name else ())

    @property
    def title(self) -> str:
        """What to call it: `BLE_Stack_full 1.23.0`, `FUS 2.1.0`."""
        image = self.image
        if image.kind is ImageKind.FUS:
            return f"FUS {given_fus(image).text}"
        name = self.variants[0] if self.variants else image.kind.value
        return f"{name} {image.version.text}" if image.version else name

    def is_called_for(self, target: Target) -> bool:
        """Whether its name, where it is one of ST's, says the target's series."""
        name = StName.parse(PurePath(self.path).name)
        return name is None or name.series is target.series

    def is_for(self, target: Target) -> bool:
        """Whether its sectors and its signing key are those of the target's series, as far as they tell."""
        key = self.assessment.signature.key
        told = [series for series in (self.image.series, key.series if key else ()) if series]
        return all(target.series in series for series in told)


def choose(candidates: Sequence[Candidate], wanted: str | None = None) -> Candidate:
    """Return the image that the plan is to end with.

    `wanted` is ST's name of a variant, with its version or without, a file's name or its path. Without it: the one
    stack, or Safeboot, that was named; else the one stack of the folders; else the newest FUS. Safeboot is never chosen
    from a folder: it is a factory reset. Raises PlanError when there is no such image or when there are several.
    """
    if wanted is not None:
        chosen = [one for one in candidates if _is_called(one, wanted)]
        if not chosen:
            raise PlanError(f"no image {wanted!r} among the files: {_nearest(wanted, candidates)}")
        if all(one.image.kind is ImageKind.FUS for one in chosen):
            return _newest_fus(chosen)
        return _only(chosen, "give the path of the one you want with --want")
    named = [one for one in candidates if one.is_named and one.image.kind is not ImageKind.FUS]
    if named:
        return _only(named, "name the one you want with --want")
    stacks = [one for one in candidates if one.image.kind is ImageKind.STACK]
    if stacks:
        return _only(stacks, "name the one you want with --want")
    fus = [one for one in candidates if one.image.kind is ImageKind.FUS]
    if not fus:
        raise PlanError("no stack and no FUS for this part among the files")
    return _newest_fus(fus)


def _newest_fus(fus: Sequence[Candidate]) -> Candidate:
    return max(fus, key=lambda one: (given_fus(one.image), one.is_named))


def _only(chosen: Sequence[Candidate], what_next: str) -> Candidate:
    contents = {one.image.sha256: one for one in reversed(chosen)}
    if len(contents) > 1:
        raise PlanError(f"{len(contents)} images could be meant ({_titles(tuple(contents.values()))}): {what_next}")
    return next(iter(contents.values()))


def _nearest(wanted: str, candidates: Sequence[Candidate]) -> str:
    """What may have been meant, or else what there is."""
    names = {name.casefold(): name for one in candidates for name in one.variants}
    near = [names[key] for key in difflib.get_close_matches(wanted.casefold(), names, n=3, cutoff=0.7)]
    near = near or sorted(name for key, name in names.items() if wanted.casefold() in key)
    return f"did you mean {' or '.join(map(printable, near))}?" if near else _titles(candidates)


def _titles(candidates: Sequence[Candidate]) -> str:
    """What there is: with their paths where they are few."""
    if len(candidates) <= _FEW:
        return ", ".join(printable(f"{one.title}: {one.path}") for one in candidates) or "none for this part"
    return ", ".join(sorted({printable(one.title) for one in candidates if one.image.kind is not ImageKind.FUS}))


_FEW = 4


def _is_called(candidate: Candidate, wanted: str) -> bool:
    names = (
        candidate.title,
        candidate.path,
        PurePath(candidate.path).name,
        PurePath(candidate.path).stem,
        *candidate.variants,
    )
    return wanted.casefold() in (name.casefold() for name in names)
