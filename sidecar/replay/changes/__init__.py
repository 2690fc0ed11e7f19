"""One input of a request that is a little wrong, a file for each payload protocol.

Rule: everything else in the message stays as it was, and what cannot be changed is None, never a
guess. Which file changes a request follows from the reader that reads it (`changers`).
"""
