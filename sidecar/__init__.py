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

The rooms, in the one order that imports may follow: a package imports only what stands above it;
`run` alone may reach all. `tests/test_layout.py` reads the imports and holds the rule.

    call, address, build, fields, log, tasks, status    nouns and small things that everybody needs
    pb           generated from protos/
    wire         production's path: the standard library only
    http2        pure: frames, HPACK, messages, answers; both halves of a connection
    observe      pure: tap records become calls
    compare      pure: readers/ (one file a protocol), rules/ (one file a kind), differences
    judge        pure: criteria, evidence/, slices, labels, verdict
    tee          admission, limits, queue, breaker, shadow
    telemetry    spans and their export
    store        what must outlive a process
    capture      both answers of a call, in Parquet
    settings     every section put together, where settings come from, and what of them is live
    experiment   the life of a call, top to bottom, in `app.py`
    report       one report; table, JSON, page
    serve        HTTP and gRPC for people and machines, metrics, the gate
    collect      one verdict for a whole service
    replay       captured calls against a candidate
    kube         pod in, pod out; webhook; manifests
    demo         two real models and the whole loop
    run          every command, processes and their supervision

A section of the settings stands in the package that it is about (`tee/settings.py`), so that a
package can be read alone; `settings/` puts them together.

The life of a call, and where each step lives
    seen      observe/     bytes from the tap become calls
    admitted  tee/         one ordered list of checks, each with its own skip reason
    queued    tee/         bounded in calls and bytes; who is late asks the wire for fewer calls
    shadowed  tee/         the same message bytes, to each shadow, in HTTP/2 read as production's is
    paired    experiment/  `app.py` reads from top to bottom as this list
    compared  compare/     payload readers, outputs, rules, differences
    judged    judge/       additive counts, evidence, verdict
    told      telemetry/, report/, serve/   spans, report and page, metrics, HTTP and gRPC
"""

__version__ = "0.1.0"
