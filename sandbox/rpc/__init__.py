"""RPC: one party calls another by name and waits for its answer; both must be up at the same time.

What everybody writes first, and how it is mended:

    no_timeout -> blind_retry -> idempotency_key (the sender of blind_retry, receivers that remember)

Where to read on, in the order of a call:

    socket      the channel, its sender, its receiver, its delivery
    framing     what goes over the wire
    directory   how a sender finds receivers
    links       the sender's connections, calls spread over them;  calls: what may be said of a call in the end
    peers       the receiver's connections;  connection: what both ends' connections have in common
    dispatch    from a frame to the method it calls, and from the answer to a frame
    floor       the same with everything left out that is not needed on a good day
"""
