"""Bytes from the tap become the events of calls: `sidecar.call`'s Started to Answered or Lost.

Rule: pure. Time is an argument, nothing is awaited, nothing is logged, and no bytes whatever make
anything here raise, except that `TapReader` refuses a peer that is no wire. Every call that was
wanted ends in exactly one Answered or Lost, at the latest when its connection closes.

    tap.py         records of the tap                         one TapReader for each tap session
    connection.py  one connection's two directions → events   one Connection for each OPEN record
      frames.py      one direction's bytes → frames            RFC 9113
      headers.py     header blocks → fields                    RFC 7541
      huffman.py       its strings
      heads.py       fields → what gRPC means by them
        timeout.py     `grpc-timeout`
      exchange.py    one wanted call from request to answer
      timing.py      how long production takes, in some slices of time
      follower.py    what can be told of calls that cannot be read
      messages.py      gRPC's length-prefixed messages
      status.py        how an answer's end becomes a gRPC status
    limits.py      what may be held
"""
