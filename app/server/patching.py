"""Which of Python's modules gevent replaces, and when.

The master patches before anything else is imported: what is imported first keeps blocking sockets, and a TLS library
imported first recurses without end. But the master itself must stay an ordinary process: it forks, waits for signals
and sleeps, and with these patched it would open a hub of its own before the fork. So they are patched in the worker,
or never: a worker neither forks nor waits for children.
"""

from __future__ import annotations

from gevent import events, monkey

EARLY = {"os": False, "signal": False, "subprocess": False, "time": False, "queue": False}


def patch_early() -> None:
    """In the master, first of all. Harmless a second time."""
    if not monkey.is_module_patched("socket"):
        # For each module that it patches gevent reads the metadata of every installed package, in search of plug-ins:
        # 45 ms of a start, and most of a worker's. What happens to be installed has no say in a server.
        events.notify_and_call_entry_points = events.notify
        monkey.patch_all(**EARLY)


def patch_late() -> None:
    """In a worker, after the fork."""
    patch_early()
    for patch, name in ((monkey.patch_time, "time"), (monkey.patch_queue, "queue")):
        if not monkey.is_module_patched(name):
            patch()
