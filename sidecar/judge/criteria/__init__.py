"""Criteria: one file a kind, with everything that is particular to it.

    base          what a kind is: settings, what it counts, evidence, interval, rank, words, unit
    shapes        what a call adds; what sums say of a criterion
    counting      what several kinds count alike
    rate          kinds that count calls and a score in [0, 1]
    mean          kinds that keep a histogram of a bounded score
    labelled      kinds that wait for labels; at_k, those of them about the first k items
    kinds         the list: a new kind is one file and a line there

Rule: nothing outside this package asks which kind a criterion is.
"""
