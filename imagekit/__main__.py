"""The program `imagekit`, and `python -m imagekit`: Ctrl-C is one line even while the command line is being loaded."""

import os
import sys


def main() -> None:
    """Run the command line; leaves with its exit code."""
    try:
        from imagekit.cli import app
        from imagekit.console import run
    except KeyboardInterrupt:
        sys.stderr.write("imagekit: interrupted\n")
        sys.stderr.flush()
        os._exit(130)
    run(app, "imagekit")


if __name__ == "__main__":
    main()
