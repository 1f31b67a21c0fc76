"""`python -m tiebreak` is `tiebreak`."""

from tiebreak.cli import main

main()
