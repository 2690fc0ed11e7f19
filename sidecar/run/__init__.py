"""Every command, the processes that some of them are, and their supervision.

First `cli`, which loads what the command needs and no more; `processes`, which has `run` and
`observe`, or `commands`, which has them all.
"""
