"""Telling: what a call was, in spans; how the sidecar fares, in metrics.

ids, plan            pure: a call's ids, drawn when it is dispatched
rpc, spans           the call in the conventions' words, built when everything is known
exporter             a bounded queue and one thread; offering never waits
environment          where spans go: the OTEL_* variables and the pod
pairs                these together: what the observer calls
histogram            pure: latencies, exact at every edge, mergeable
snapshot, observed   the observer's state, gathered when asked for
metrics              the same as Prometheus text
"""
