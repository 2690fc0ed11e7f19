"""The verdict: may the new version replace the old one, with a bound on the error.

Pure: numpy, the standard library, and times as arguments. A reader's path through it:

    settings    what the user declares "good enough" means
    pair        one call with both answers compared: what the judge is told
    decision    declared functions of an output (threshold, argmax, top-k, bands)
    criteria/   one file a kind: what it counts of a pair, its evidence, interval and words
    counts      cells of every (instance, epoch), merged across pods
    evidence/   always-valid evidence from those counts; intervals and quantiles build on it
    verdict     PASS, FAIL, WATCHING or INCONCLUSIVE
    slices, labels, worst, shown    where, whether it was right, and on which calls
    judge       the façade that the application holds

The rule of the whole package: evidence depends on additive counts alone, so it may be looked at
at any moment, in any order, on any pod, and what pods counted can be added.
"""
