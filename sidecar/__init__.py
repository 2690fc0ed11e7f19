"""shadow-sidecar: may the new model version replace the old one?

The vocabulary, and the map of the house.

- **production**: the model server that answers users. **shadow**: a candidate that receives
  copies. **control**: a second replica of production's own version, for the noise floor.
- **call**: one gRPC call as seen on the wire. **observation**: what one side answered, and when.
  **pair**: production's and a shadow's observation of one call. **comparison**: what was found
  when the two were laid side by side; a **difference** is one line of it.
- **verdict**: PASS, FAIL, WATCHING or INCONCLUSIVE, with reason, bound, n and coverage.
  **coverage**: compared / eligible. **slice**: a named part of the traffic.

The laws
    1. Production first: a byte is handed to the other side's socket before anything looks at it,
       and nothing that happens behind the tap can delay, fail or change a production call.
    2. Nothing flows back: no byte from a shadow reaches a client.
    3. Every call is accounted for: seen = compared + the sum over skip reasons + in flight.
    4. Every buffer has a bound in count and in bytes, with one drop reason each.
    5. No data is never PASS, and every verdict carries its coverage.
    6. The deciding parts are pure: time and randomness are arguments.

Two processes
    client ──TCP──▶ wire ──TCP──▶ production          sidecar/wire      standard library only
                      │ Unix socket: a copy, lossy, bounded; wire never waits
                    observer ──gRPC──▶ shadow(s)      everything else, at idle priority

The life of a call, and where each step lives
    seen      observe/    pure: bytes from the tap become calls
    admitted  tee/        pure: one ordered list of checks, each with its own skip reason
    queued    tee/        bounded in calls and bytes; who is late asks the wire for fewer calls
    shadowed  tee/        the same message bytes, to each shadow, in HTTP/2 read as production's is
    paired    app.py      the composition root; reads from top to bottom as this list
    compared  compare/    pure: payload readers, outputs, rules, differences
    judged    judge/      pure: additive counts, evidence, verdict
    told      telemetry/, report/, admin/   spans, metrics, report and page, HTTP and gRPC

Around it: `supervise.py` and `observer.py` are the processes, `session.py` attaches to the tap,
`judging.py` tells the judges, `kube/` puts both containers into a pod, `demo/` shows it all.
`call.py` holds the nouns that travel between these packages, `config.py` every setting.
"""

__version__ = "0.1.0"
