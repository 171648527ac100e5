"""The published schema of SARIF 2.1.0 (OASIS, sarif-schema-2.1.0.json), to hold reports against."""

import json
from functools import cache
from pathlib import Path

from jsonschema import Draft7Validator


@cache
def _validator() -> Draft7Validator:
    return Draft7Validator(json.loads((Path(__file__).parent / "sarif-schema-2.1.0.json").read_bytes()))


def validate_sarif(log: object) -> None:
    """Raise ValidationError unless the log is SARIF 2.1.0."""
    _validator().validate(log)
