"""`python -m vision_r1` is the command line."""

from vision_r1.cli import main

main()
