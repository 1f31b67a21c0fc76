"""`python -m tiebreak` runs the command line."""

from tiebreak.cli import main

main()
