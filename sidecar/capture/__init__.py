"""Both answers of a call in a file that a data scientist opens: Parquet, one row a pair.

    settings    what is captured, and within which bounds
    row         one pair as it waits to be written
    schema      the columns, their meaning, and the version of both
    columns     rows become Arrow columns; chosen inputs and outputs get typed columns of their own
    writer      a bounded queue into a thread; files appear whole or not at all
    budget      the disk that captured files may take
    reader      captured files as record batches, whatever version wrote them
    where       `outcome == "value" and production_latency_ms > 10`, as an Arrow expression

The rule of the room: never on the data path. What cannot be written is counted and forgotten, and
a full disk ends capturing and nothing else. pyarrow is an extra (`capture`), imported when used.
"""
