"""One report from the counts of one or many sidecars.

    timeline    differences over time, bounded and additive
    part        what one sidecar tells about one shadow
    live        reads the parts off a running observer
    build       parts become one report: the verdict and everything a person wants to see with it
    table       the report for a terminal
    page        the report as a self-contained HTML page, made of
                sections, criteria, traffic, which are made of
                layout, charts, figures, markup

Rule: building is pure and every part is additive, so pulling a sidecar twice changes nothing and
the order does not matter. Counterparts: `judge`, which counts and decides; `admin`, which carries
parts between processes.
"""
