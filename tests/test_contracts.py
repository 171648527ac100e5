"""Modules import only what architecture allows: the contracts in pyproject.toml."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_import_contracts_hold() -> None:
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert result.returncode == 0, result.stdout.decode()


def test_every_module_says_what_it_is_for() -> None:
    for path in [*ROOT.glob("imagekit/**/*.py"), *ROOT.glob("flasher/**/*.py"), *ROOT.glob("tests/**/*.py")]:
        assert path.read_text(encoding="utf-8").startswith('"""'), path
