"""What `rules` prints: text, whose words may change, and JSON, whose members may not (docs/json.md)."""

from collections.abc import Iterable

from imagekit.report.layout import Json
from imagekit.rules.registry import Rule

RULES_SCHEMA = "imagekit.rules/1"


def text(rules: Iterable[Rule]) -> str:
    """List rules by their ids, one line each."""
    return "\n".join(f"{rule.id}  {rule.severity.value:<8} {rule.title}" for rule in _sorted(rules))


def document(rules: Iterable[Rule]) -> Json:
    """Return what `rules --json` prints."""
    return {
        "schema": RULES_SCHEMA,
        "rules": [
            {"id": rule.id, "severity": rule.severity.value, "title": rule.title, "help": rule.help}
            for rule in _sorted(rules)
        ],
    }


def _sorted(rules: Iterable[Rule]) -> list[Rule]:
    return sorted(rules, key=lambda rule: rule.id)
