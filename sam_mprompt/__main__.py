"""`python -m sam_mprompt` is the command line."""

from .cli.app import main

main()
