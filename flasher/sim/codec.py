"""Values of the simulation to JSON and back: dataclasses of numbers, texts, bytes, lists and maps, nothing else.

Reading is strict: a value that is not of the type its field declares is an error, so a damaged board is never half
loaded. Numbers are words of 32 bits, and times are finite and not before the board was made.
"""

import base64
import binascii
import dataclasses
import types
import typing
import zlib
from typing import Any

_LARGEST_BYTES = 192 * 1024  # SRAM1, the largest block of memory that is kept in one piece
_MOST_ITEMS = 2048  # there are fewer registers and fewer pages of flash
_WORD = 0xFFFF_FFFF
_LONGEST_SECONDS = 1e9  # a clock that is a float still counts microseconds there


def encode(value: object) -> Any:
    """Turn a value into what `json` can write. Bytes become compressed base64, keys of maps text."""
    if dataclasses.is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, bytes | bytearray):
        return pack(value)
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        return {f"0x{key:08X}" if isinstance(key, int) else key: encode(item) for key, item in value.items()}
    return value


def pack(content: bytes | bytearray) -> str:
    """Compressed base64."""
    if content:
        return base64.b64encode(zlib.compress(content, 6)).decode()
    return ""


def unpack(text: str) -> bytes:
    """Undo `pack`. Raises ValueError."""
    if not text:
        return b""
    reader = zlib.decompressobj()
    try:
        content = reader.decompress(base64.b64decode(text, validate=True), _LARGEST_BYTES)
    except (zlib.error, binascii.Error) as error:
        raise ValueError(str(error)) from error
    if not reader.eof or reader.unused_data:
        raise ValueError(f"compressed bytes that are cut off, or more than {_LARGEST_BYTES}")
    return content


def decode(kind: Any, value: Any) -> Any:
    """Make a value of type `kind` from what `json` read. Raises ValueError."""
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, value)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        inner = next(argument for argument in arguments if argument is not type(None))
        if value is None:
            return None
        return decode(inner, value)
    if origin is typing.Literal:
        return _checked(any(value == choice and type(value) is type(choice) for choice in arguments), value)
    if origin in (list, tuple):
        _checked(isinstance(value, list) and len(value) <= _MOST_ITEMS, value)
        return origin(decode(arguments[0], item) for item in value)
    if origin is dict:
        _checked(isinstance(value, dict) and len(value) <= _MOST_ITEMS, value)
        keys = (decode(int, int(key, 16)) if arguments[0] is int else key for key in value)
        return dict(zip(keys, (decode(arguments[1], item) for item in value.values()), strict=True))
    return _decode_plain(kind, value)


def _decode_dataclass(kind: Any, value: Any) -> Any:
    hints = typing.get_type_hints(kind)
    names = {field.name for field in dataclasses.fields(kind)}
    if not isinstance(value, dict) or set(value) != names:
        raise ValueError(f"not a {kind.__name__}")
    return kind(**{name: decode(hints[name], value[name]) for name in names})


def _decode_plain(kind: Any, value: Any) -> Any:
    if kind in (bytes, bytearray):
        _checked(isinstance(value, str), value)
        return kind(unpack(value))
    if kind is float:
        _checked(isinstance(value, int | float) and not isinstance(value, bool), value)
        _checked(0 <= value <= _LONGEST_SECONDS, value)  # and neither inf nor nan
        return float(value)
    _checked(type(value) is kind, value)
    return _checked(kind is not int or 0 <= value <= _WORD, value)


def _checked(good: bool, value: Any) -> Any:
    if not good:
        raise ValueError(f"not expected: {str(value)[:40]!r}")
    return value
