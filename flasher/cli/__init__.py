"""The flasher's command line: `main` is the program, `app` its commands."""

from flasher.cli.program import app, main

__all__ = ["app", "main"]
