"""Captured calls against a candidate: yesterday's traffic, tomorrow's model.

    recorded    rows of captured files become calls
    pace        when each call is sent: as it came, at a rate, or as fast as the candidate answers
    book        calls and answers are compared and judged by the very parts that judge live traffic
    replay      sends the calls, and hands what comes back to the book
    judged      the same book over answers that were captured, with nobody asked
    results     what a replay found, in a file that another can be laid beside
    changes     a request with an input that is a little wrong, a file a protocol
    sensitivity what that does to a model's answers, for production and the candidate
    capacity    how much traffic a candidate takes

The rule of the room: what is sent is what was captured, and what is compared is compared as live
traffic is; nothing here has rules of its own. Production's address is never loaded unless it is
asked for twice.
"""
