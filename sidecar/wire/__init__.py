"""Production's path: forwards bytes, then shows a copy of them to observers.

Small enough to be read whole by whoever must trust it, in this order: `forward` (what happens to
production's bytes), `poll`, `server` (its connections, and how it ends), `listen`, `connect`,
`cli`; then what happens to the copy: `frames` (which bytes), `watch` (one connection's observing),
`tap` (the way out), `backlog` (what waits there), `records` (its language), `stats`. Imports the
standard library and nothing else.
"""
