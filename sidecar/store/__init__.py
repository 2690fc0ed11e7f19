"""What must outlive a process, in SQLite: evidence, decisions, labels. Never on the data path.

The shape, from the ground up; the first two are for anybody who keeps something:

    folder      a directory that is ours alone, or a refusal in words; files locked by who uses them
    database    one SQLite file in WAL: foreign versions refused, damaged files set aside
    kept        plain data: a key, an experiment's row, its pieces (named values)
    decisions   an append-only text file beside the databases: decisions and resets, which must
                survive a kill in the same second, and a database that is lost
    evidence    the tables of experiments and their pieces, in a database
    writer      a thread that writes one transaction a second, and what it tells of itself
    keeper      which experiments one process goes on with, and what was decided about them
    reading     what `shadow-sidecar experiment` does to a directory, with or without a sidecar

A directory of `--state` holds `evidence-N.db` (one for each observer process that shares it, with
`evidence-N.lock`) and one `decisions.jsonl`. An experiment is cut into pieces (a cell, a level of
its blocks, one waiting label), each with a checksum, and only those that changed are written.
Counterparts: `judge.pieces`, which cuts; `experiment.keeping`, which asks once a second.
"""
