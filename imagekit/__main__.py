"""The program `imagekit`, and `python -m imagekit`: Ctrl-C is one line even while the command line is being loaded."""

import gc
import os
import sys


def main() -> None:
    """Run the command line; leaves with its exit code."""
    # A command lives for a fraction of a second and makes few cycles: looking for them costs more than it gives, and
    # most of all while modules are loaded.
    gc.set_threshold(100_000)
    try:
        from imagekit.cli.console import run
        from imagekit.cli.program import app
    except KeyboardInterrupt:
        sys.stderr.write("imagekit: interrupted\n")
        sys.stderr.flush()
        os._exit(130)
    run(app, "imagekit")


if __name__ == "__main__":
    main()
