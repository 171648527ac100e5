"""The program `flasher`, and `python -m flasher`: Ctrl-C is one line even while the command line is being loaded."""

import os
import sys


def main() -> None:
    """Run the command line; leaves with its exit code."""
    try:
        from flasher.cli import main as run
    except KeyboardInterrupt:
        # No probe was opened yet, so nothing has to be left in order.
        sys.stderr.write("flasher: interrupted\n")
        sys.stderr.flush()
        os._exit(130)
    run()


if __name__ == "__main__":
    main()
