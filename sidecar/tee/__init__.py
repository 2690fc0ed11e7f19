"""From a request that was read to an answer from the shadow: admit, wait, ask.

admission.py  which calls are shadowed at all, by the operator's choice     pure
gate.py       whether one shadow takes one more call now                    pure
  limits.py     calls and bytes a second                                    pure
  breaker.py    a shadow that fails is left alone for a while               pure
pace.py       what share of the calls there is time for                     pure
metadata.py   what of the caller's metadata a shadow may see                pure
queue.py      the bounded wait                                              pure
client.py     one call to a shadow; every failure becomes a status          asyncio
  channel.py      connections to it, pauses                                 asyncio
  deadlines.py    when its calls have to end: one timer for all             asyncio
  conversation.py HTTP/2 and gRPC, the client's half                        pure
shadow.py     gate, queue and client, with one callback a call              asyncio
"""
