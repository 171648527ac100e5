"""The commands: what they take, what they call, how they end (docs/exit-codes.md).

One module for each group of commands; a module that costs start-up time is imported by the command that needs it.
"""

from imagekit.cli import image, plan, layout, release, bundle, keys, explain, catalogue  # noqa: I001 - help's order
from imagekit.cli.app import app

__all__ = ["app", "bundle", "catalogue", "explain", "image", "keys", "layout", "plan", "release"]
