"""Production's path: forwards bytes, then shows a copy of them to observers.

Small enough to be read whole by whoever must trust it, in this order: `pipe` (what happens to
production's bytes), `forward` (two pipes, and how they end), `poll`, `server` (all connections),
`listen`, `connect`, `client`, `options`, `cli`; then what happens to the copy: `frames` (which
bytes), `header`, `side`, `sample`, `left_out`, `watch` (one connection's observing), `later`,
`clock`, `tap` (the observers), `place` (where they find it), `peer`, `session` (the way out to
one), `backlog` (what waits there), `records` (its language); `memory`, `state`, `stats`. Imports
the standard library and nothing else.
"""
