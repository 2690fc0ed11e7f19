"""One verdict for a service: many sidecars' counts, kept when their pods are gone.

`poll` asks every pod behind a name; `ledger` keeps what they said in SQLite; `service` adds it up
and says what is missing; `pages` answers people, controllers and Prometheus; `collector` turns the
wheel. `report --service` is the same sum without a memory.
"""
