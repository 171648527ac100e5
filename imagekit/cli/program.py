"""The whole program `imagekit`: every group of commands, in the order in which help lists them.

A module that costs start-up time is imported by the command that needs it.
"""

from imagekit.cli import image, plan, layout, diff, release, bundle, keys, explain, doctor, catalogue  # noqa: I001 - help's order
from imagekit.cli.app import app
from imagekit.cli.command_line import prepared

prepared(app)

__all__ = ["app", "bundle", "catalogue", "diff", "doctor", "explain", "image", "keys", "layout", "plan", "release"]
