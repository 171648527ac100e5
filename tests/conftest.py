"""What every test may use: the golden files' switch."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what the programs print into the golden files")
