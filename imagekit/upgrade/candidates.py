"""The images that a plan can use, and the choice of the goal among them."""

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
    """An image that a plan can use, and its file."""

    path: str
    assessment: Assessment
    is_named: bool
    """Whether the user named this file itself, not a folder that holds it."""

    @property
    def image(self) -> Image:
        """The image itself."""
        return self.assessment.image

    @property
    def st_name(self) -> StName | None:
        """The file name, if it has the form of ST's names."""
        return StName.parse(PurePath(self.path).name)

    @property
    def variants(self) -> tuple[str, ...]:
        """ST's names for it: those of the catalogue, or that of the file."""
        if self.st_name and not self.assessment.variants:
            return (self.st_name.variant,)
        return self.assessment.variants

    @property
    def title(self) -> str:
        """Its name for users: `BLE_Stack_full 1.23.0`, `FUS 2.1.0`."""
        image = self.image
        if image.kind is ImageKind.FUS:
            return f"FUS {given_fus(image).text}"
        name = self.variants[0] if self.variants else image.kind.value
        return f"{name} {image.version.text}" if image.version else name

    def is_named_for(self, target: Target) -> bool:
        """Whether its file name, if it has ST's form, says the target's series."""
        return self.st_name is None or self.st_name.series is target.series

    def is_for(self, target: Target) -> bool:
        """Whether its sectors and its signing key, if known, are those of the target's series."""
        image, key = self.image, self.assessment.signature.key
        if image.series and target.series not in image.series:
            return False
        return key is None or target.series in key.series


def choose(candidates: Sequence[Candidate], wanted: str | None = None) -> Candidate:
    """Return the image that the plan ends with.

    `wanted` is ST's name of a variant, with or without its version, a file name or its path. Without it: the only
    stack, or Safeboot, that was named; otherwise the only stack of the folders; otherwise the newest FUS. Safeboot is
    never chosen from a folder, because installing it is a factory reset.

    Raises:
        PlanError: no image matches, or several do.
    """
    if wanted is not None:
        return _wanted(candidates, wanted)
    named = [candidate for candidate in candidates if candidate.is_named and candidate.image.kind is not ImageKind.FUS]
    stacks = [candidate for candidate in candidates if candidate.image.kind is ImageKind.STACK]
    fus = [candidate for candidate in candidates if candidate.image.kind is ImageKind.FUS]
    if named or stacks:
        return _only(named or stacks, "name the one that you want with --want")
    if not fus:
        raise PlanError("the files contain no stack and no FUS for this part")
    return _newest_fus(fus)


def _wanted(candidates: Sequence[Candidate], wanted: str) -> Candidate:
    """Return the image with a name that the user gave."""
    chosen = [candidate for candidate in candidates if _has_name(candidate, wanted)]
    if not chosen:
        raise PlanError(f"no image {wanted!r} among the files: {_nearest(wanted, candidates)}")
    if all(candidate.image.kind is ImageKind.FUS for candidate in chosen):
        return _newest_fus(chosen)
    return _only(chosen, "give the path of the one that you want with --want")


def _newest_fus(fus: Sequence[Candidate]) -> Candidate:
    return max(fus, key=lambda candidate: (given_fus(candidate.image), candidate.is_named))


def _only(chosen: Sequence[Candidate], what_next: str) -> Candidate:
    """Return the only content among the chosen files. Raises PlanError when there are several."""
    contents = {candidate.image.sha256: candidate for candidate in reversed(chosen)}
    if len(contents) > 1:
        titles = _titles(tuple(contents.values()))
        raise PlanError(f"{len(contents)} images match ({titles}): {what_next}")
    return next(iter(contents.values()))


def _nearest(wanted: str, candidates: Sequence[Candidate]) -> str:
    """The names that the user may have meant, or otherwise all of them."""
    names = {name.casefold(): name for candidate in candidates for name in candidate.variants}
    near = [names[key] for key in difflib.get_close_matches(wanted.casefold(), names, n=3, cutoff=0.7)]
    near = near or sorted(name for key, name in names.items() if wanted.casefold() in key)
    if near:
        return f"did you mean {' or '.join(map(printable, near))}?"
    return _titles(candidates)


_FEW = 4


def _titles(candidates: Sequence[Candidate]) -> str:
    """The titles of candidates; with their paths if they are few."""
    if not candidates:
        return "there is none for this part"
    if len(candidates) <= _FEW:
        return ", ".join(printable(f"{candidate.title}: {candidate.path}") for candidate in candidates)
    titles = {printable(candidate.title) for candidate in candidates if candidate.image.kind is not ImageKind.FUS}
    return ", ".join(sorted(titles))


def _has_name(candidate: Candidate, wanted: str) -> bool:
    path = PurePath(candidate.path)
    names = (candidate.title, candidate.path, path.name, path.stem, *candidate.variants)
    return wanted.casefold() in (name.casefold() for name in names)
