"""Events over a broker.

    pubsub.py      what everybody writes first: publish and subscribe without storage; who is away misses it
    streams.py     the sound channel: streams with consumer groups, settled after the work, dead letters
    entries.py     what an event looks like in a stream: its fields, keys, and which entries are refused
    follower.py    reading a stream as it grows: answers, and states folded into a replica
    pending.py     claims that have lapsed or were given back, and what lies in the streams
    connection.py  one connection: commands go out without waiting, responses come back in order
    patterns/      router, filter, translator, wire tap, dead letters: over any channel, not only these
    floor.py       the thinnest code that makes the same promise, and the bare medium

What the medium gives: an append-only log that many groups read each at its own pace, claims that
are remembered (the pending entries of a consumer), a sender that needs nobody to be there. What it
does not give: an answer, a state to look up, claims that lapse by themselves, a place for what
cannot be understood. The channel adds these, and the charts show at what price.
"""
