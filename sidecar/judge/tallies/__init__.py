"""What is counted of each call, apart from what is declared: one tally a criterion of a judge.

    tally         what a tally is, and what a call added
    of_kind       asks the criterion itself: any kind
    rates         kinds of which most calls add the same
    latencies     kinds about a quantile of a time

Rule: what is done for each call is compiled, and pydantic's models are not; so a tally takes from
its criterion, when it is made, all that it asks later. It decides nothing. Counterparts:
`criteria`, what the sums say; `judge`, which asks every tally about every call.
"""
