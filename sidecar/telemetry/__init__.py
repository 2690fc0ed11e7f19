"""Telling what a call was, in spans.

ids, plan            pure: a call's ids, drawn when it is dispatched
finished             pure: a call that is over
words, attributes    pure: what spans are called and what they say; rpc has the conventions' words
spans                the spans of a call, built when everything is known
exporter             a bounded queue and one thread; offering never waits
environment          where spans go: the OTEL_* variables and the pod
pairs                these together: what the observer calls
"""
