"""Changes to inputs that a reader of texts, words or JSON does not refuse at once."""

import json
import re
from contextlib import suppress
from random import Random
from typing import Any

_BYTES = [b"", b"\0", b"\xff", b"\r\n", b"\0\0\0\x80", b"\xff\xff\xff\xff", b"PK\x01\x02", b"\xcd\xab\xcd\xab" * 2]
_VALUES: list[Any] = [
    None,
    True,
    0,
    1,
    -1,
    31,
    255,
    4096,
    1 << 31,
    1 << 32,
    1 << 53,
    1 << 64,
    10**400,
    0.0,
    -1.5,
    1e9,
    1e300,
]
_VALUES += [float("inf"), float("nan"), "", "0", "0xFFFFFFFF", "-0x1", "\0", "\ud800", "a" * 300, [], [0], {}, {"": 0}]
_HEX_LINE = re.compile(rb":((?:[0-9A-Fa-f]{2}){4,})[0-9A-Fa-f]{2}")


CUT = b"\n--cut--\n"
"""What stands between the parts of an input that has several."""


def mutate(data: bytes, chance: Random) -> bytes:
    """Change one part here and there: JSON by its values three times of four, anything else by its bytes."""
    parts = data.split(CUT)
    at = chance.choice((0, chance.randrange(len(parts))))
    parts[at] = _mutate(parts[at], chance)
    return CUT.join(parts)


def _mutate(data: bytes, chance: Random) -> bytes:
    if data[:1] in (b"{", b"[") and chance.random() < 0.75:
        with suppress(ValueError, RecursionError):
            document = json.loads(data)
            for _ in range(chance.choice((1, 1, 2, 4))):
                document = _changed(document, chance)
            return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    content = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        _change_bytes(content, chance)
    return bytes(content)


def _change_bytes(content: bytearray, chance: Random) -> None:
    at = chance.randrange(len(content) + 1)
    size = chance.choice((0, 1, 1, 2, 4, 4, 8, 20, 64, 300))
    new = chance.choice((*_BYTES, chance.randbytes(1), chance.randbytes(4), bytes(content[at : at + size])))
    if chance.random() < 0.3 and at < len(content):
        content[at] ^= 1 << chance.randrange(8)
    else:
        content[at : at + chance.choice((0, len(new), size))] = new * chance.choice((1, 1, 1, 2, 50))


def _changed(value: Any, chance: Random) -> Any:
    """The document with one value in it replaced, removed, repeated or packed into lists."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        return _changed_object(value, chance)
    if isinstance(value, list) and value and chance.random() < 0.85:
        at = chance.randrange(len(value))
        one = chance.choice(([], [value[at]] * 2, *[[_changed(value[at], chance)]] * 8))
        return value[:at] + one + value[at + 1 :]
    if chance.random() < 0.6:
        return _near(value, chance)
    if chance.random() < 0.05:
        for _ in range(chance.choice((1, 13, 300, *range(970, 1000)))):
            value = [value]
        return value
    return chance.choice(_VALUES)


def _changed_object(value: dict[str, Any], chance: Random) -> dict[str, Any]:
    name = chance.choice(list(value))
    if chance.random() < 0.1:
        return {one: value[one] for one in value if one != name}
    if chance.random() < 0.1:
        return value | {str(chance.choice(_VALUES))[:20]: value[name]}
    return value | {name: _changed(value[name], chance)}


def _near(value: Any, chance: Random) -> Any:
    """A value of the same kind."""
    if isinstance(value, int):
        return value + chance.choice((-1, 1, -value, 1 << chance.randrange(40), -(1 << chance.randrange(33))))
    if isinstance(value, float):
        return value * chance.choice((-1, 0, 0.5, 10, 1e6, 1e12))
    if isinstance(value, str):
        at = chance.randrange(len(value) + 1)
        return value[:at] + chance.choice("0aF-. \0\xe9") + value[at + chance.choice((0, 1)) :]
    return value


def with_checksums(data: bytes) -> bytes:
    """Make the checksum of each line of Intel HEX right."""

    def line(match: re.Match[bytes]) -> bytes:
        record = bytes.fromhex(match[1].decode())
        return b":%b%02X" % (match[1], -sum(record) & 0xFF)

    return _HEX_LINE.sub(line, data)
