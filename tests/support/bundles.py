"""Bundles for tests: those of fixtures/bundles, the throw-away keys that signed them, and bundles made on the spot."""

import functools
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from imagekit.bundle import manifest_json, write
from imagekit.bundle.keys import FileKey, PrivateKey, PublicKey, load_public_keys
from imagekit.bundle.manifest import FusPolicy, Waiver
from imagekit.bundle.write import BundleContent
from imagekit.targets import select_target
from tests.support.images import FIXTURES, assessed, content

BUNDLES = FIXTURES / "bundles"


@functools.cache
def maker() -> ModuleType:
    """fixtures/make_bundles.py, the independent writer."""
    spec = importlib.util.spec_from_file_location("make_bundles", FIXTURES / "make_bundles.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def private(name: str) -> FileKey:
    """The throw-away key `ed25519`, `p256` or `stranger`."""
    return maker().private_key(name)  # type: ignore[no-any-return]


def public(name: str) -> PublicKey:
    return load_public_keys(public_file(name).read_bytes())[0]


def public_file(name: str) -> Path:
    return BUNDLES / f"throw-away-{name}.pub"


def trusted() -> list[PublicKey]:
    """The two keys that are trusted wherever fixtures are opened."""
    return [public("ed25519"), public("p256")]


def fixture(name: str) -> bytes:
    return (BUNDLES / f"{name}.wbz").read_bytes()


def contents(*names: str) -> list[BundleContent]:
    """Images of fixtures/images, assessed as if the throw-away keys were ST's."""
    return [BundleContent(assessment=assessed(name), data=content(name)) for name in names]


def waiver(name: str, reason: str = "because", rule: str = "WB201") -> Waiver:
    """An error of an image of fixtures/images, accepted in writing."""
    return Waiver(rule, assessed(name).image.sha256, reason)


def bundle(
    *names: str,
    keys: Sequence[PrivateKey] = (),
    parts: Sequence[str] = ("STM32WB55RG",),
    waivers: Sequence[Waiver] = (),
    fus_policy: FusPolicy = FusPolicy.ALWAYS,
    expires: str | None = None,
) -> bytes:
    """A bundle as imagekit itself makes it."""
    inside = contents(*names)
    stated = write.make_manifest(
        inside,
        [select_target(part) for part in parts],
        name="product",
        sequence=7,
        created=0,
        waivers=waivers,
        fus_policy=fus_policy,
        expires=expires,
    )
    payload = manifest_json.dumps(stated)
    return write.write_bundle(payload, [write.signature(key, payload) for key in keys], inside)
