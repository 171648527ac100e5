"""Options and settings of every test run: the golden files' switch, the workers, the bytecode of subprocesses."""

import os

import pytest
from hypothesis import HealthCheck, settings

# The workers share the cores with each other and with other programs: a limit in wall-clock time fails at random.
settings.register_profile("shared-cores", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-cores")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what the programs print into the golden files")


def pytest_configure() -> None:
    # Without bytecode files, each worker and each program that a test starts compiles every module again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Run `--update-golden` in one process: two workers must not write one golden file."""
    if config.getoption("--update-golden"):
        return 0
    return None
