"""`python -m imagekit`: the same as the program `imagekit`."""

from imagekit.cli import main

main()
