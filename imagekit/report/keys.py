"""What the commands about keys print: text, whose words may change, and JSON, whose members may not (docs/json.md)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagekit.bundle.keys import PublicKey, fingerprint, kind_of, public_pem
from imagekit.image.signing_keys import st_keys
from imagekit.report.layout import Json

if TYPE_CHECKING:
    from imagekit.image.key_recovery import RecoveredKey

KEYS_SCHEMA = "imagekit.keys/1"
RECOVERED_SCHEMA = "imagekit.recovered-keys/1"


@dataclass(frozen=True, slots=True)
class KeyInFile:
    """A key, and the file that it was read from."""

    path: str
    key: PublicKey
    is_private: bool


@dataclass(frozen=True, slots=True)
class KeyOfFiles:
    """A recovered key, and the files that it signed."""

    key: "RecoveredKey"
    files: Sequence[str]

    @property
    def name(self) -> str | None:
        """The name of the key among ST's known keys; None for a key that is not one of them."""
        for known in st_keys():
            if known.public_key == self.key.public_key:
                return known.name
        return None


def line(entry: KeyInFile, name: str) -> str:
    """Return the fingerprint, the type and the file of a key."""
    kind = kind_of(entry.key)
    if entry.is_private:
        kind += ", private"
    return f"{fingerprint(entry.key)}  {kind}  {name}"


def pem(entry: KeyInFile) -> str:
    """Return a public key in PEM."""
    return public_pem(entry.key).decode().strip()


def document(entries: Sequence[KeyInFile]) -> Json:
    """Return what `keys show --json` prints."""
    return {
        "schema": KEYS_SCHEMA,
        "keys": [
            {
                "path": entry.path,
                "fingerprint": fingerprint(entry.key),
                "type": kind_of(entry.key),
                "private": entry.is_private,
                "pem": pem(entry),
            }
            for entry in entries
        ],
    }


def recovered(entry: KeyOfFiles, shown: Callable[[str], str], *, with_pem: bool) -> str:
    """Return a recovered key and the files that it signed; `shown` makes a path printable."""
    name = entry.name or "not one of ST's known keys"
    lines = [
        entry.key.point.hex(),
        f"  key       {name}: {len(entry.key.images)} contents in {len(entry.files)} files",
    ]
    if with_pem:
        lines.append(public_pem(entry.key.public_key).decode().strip())
    lines += [f"  signed    {shown(path)}" for path in entry.files]
    return "\n".join(lines)


def recovered_document(entries: Sequence[KeyOfFiles], unassigned: Sequence[str]) -> Json:
    """Return what `keys recover --json` prints."""
    return {
        "schema": RECOVERED_SCHEMA,
        "keys": [
            {
                "point": entry.key.point.hex(),
                "name": entry.name,
                "pem": public_pem(entry.key.public_key).decode().strip(),
                "files": list(entry.files),
            }
            for entry in entries
        ],
        "unassigned": list(unassigned),
    }
