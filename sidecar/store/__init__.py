"""What must outlive a process: evidence, decisions and labels, in SQLite. Off the data path.

`folder` makes and guards the directory, `file` is the database, `keeper` writes it from a thread
of its own, `reading` reads it while somebody else writes.
"""
