"""One report from the counts of one or many sidecars.

    part        what one sidecar tells about one pair of versions
    live        reads the parts off a running observer
    copies      parts that must not be added: one state's counts, told by two processes
    build       parts become one report: the verdict and everything a person wants to see with it,
                made of sums, verdict, version_rows, drift, notices
    report      the report as typed data, which as_json carries
    table       the report for a terminal, made of table_traffic, table_parts
    page        the report as a self-contained HTML page, made of
                sections, criteria, traffic, distributions, versions, service, side_by_side, outlook
                and look, which are made of layout, charts, figures, markup
    call        one call as a page

Rule: building is pure and every part is additive, so pulling a sidecar twice changes nothing and
the order does not matter. Counterparts: `judge`, which counts and decides; `serve`, which carries
parts between processes.
"""
