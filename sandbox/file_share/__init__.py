"""Files in a shared folder.

    in_place.py the version everybody writes first: readers see torn files
    rename.py   whole files, by temporary name and rename; but two readers take the same one
    log.py      beside these: one shared log behind a lock file; whoever dies with the lock stops everybody
    spool.py    the sound channel: unique names, publish and claim by rename, leases, dead letters
    folders.py  what it leaves on disk: folders, file names, how a file is published and safely read
    box.py      the box of one group: claims with a lease, given back when it lapses; the dead letters
    answers.py  answers on their way back to the one who asked
    inbox.py    the names of what has come, in order, from announcements or listings
    wakeup.py   how a waiting end learns of a new file: inotify, kqueue, or honest polling
    floor.py    the thinnest code that makes the same promise, and the bare medium

What the medium gives: rename is atomic, so a file appears whole or not at all, and of several who rename
the same file one succeeds. What it does not give: a queue, a claim that lapses, a way to wake a
reader on every system, an answer. The channel adds these, and the charts show at what price.
"""
