"""`python -m flasher`: the same as the program `flasher`."""

from flasher.cli import main

main()
