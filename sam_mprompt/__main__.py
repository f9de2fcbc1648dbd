"""`python -m sam_mprompt` is the command line."""

from .cli import main

main()
