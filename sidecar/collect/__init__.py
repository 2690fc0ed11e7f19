"""One verdict for a service: many sidecars' counts, kept when their pods are gone.

A round, top to bottom
    asked     poll         every pod behind a name, `cluster` for those that nobody answers for
    checked   told         what a pod says must fit its own rules, or it is not taken
    known     lives        the newest counts of each observer's life, and who is missing
    judged    service      which of them belong together, and what stands
    kept      ledger       the newest counts of each observer's life, and decisions, in SQLite
    shown     pages, metrics, admin    from the latest round, so asking costs the pods nothing

`collector` turns the wheel. `report --service` without one is the same sum without a memory.
"""
