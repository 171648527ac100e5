"""The public keys that image signatures are checked against, and which series each key signs for.

The shipped keys and where they come from: data/keys/README.md.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from imagekit.targets import Series

_KEYS = Path(__file__).parents[1] / "data" / "keys"

# An explicit table, no discovery: a file dropped into the folder is not trusted.
_ST_KEYS = (
    ("st-wb5x-wb3x", (Series.WB3X, Series.WB5X)),
    ("st-wb1x", (Series.WB1X,)),
    ("st-wb3x-early", (Series.WB3X,)),
)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A trusted public key on NIST P-256."""

    name: str
    series: tuple[Series, ...]
    """The series whose images it signs."""
    public_key: ec.EllipticCurvePublicKey


@cache
def st_keys() -> tuple[SigningKey, ...]:
    """Return ST's keys, in the order of how many images each one signs."""
    return tuple(
        SigningKey(name, series, load_public_key((_KEYS / f"{name}.pem").read_bytes())) for name, series in _ST_KEYS
    )


def load_public_key(pem: bytes) -> ec.EllipticCurvePublicKey:
    """Read a PEM public key. Raises ValueError unless it is an ECDSA key on P-256."""
    key = load_pem_public_key(pem)
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("not an ECDSA public key on NIST P-256")  # noqa: TRY004 - the content is wrong
    return key
