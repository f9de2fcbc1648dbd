"""Fuzzers: hostile and broken inputs for everything that reads what others wrote.

    python -m tests.fuzz FAMILY --inputs 1000 --seed 0

An input is made by its family's name, the seed and its number alone, so that one that was found is made again by
`--only NUMBER`. `dice` has what all families throw, a module has a family each, `worker` runs inputs in a process of
their own, `supervise` watches it and says what came of them.
"""
