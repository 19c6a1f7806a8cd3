"""What goes on behind the servers' backs: each daemon has one duty, done in passes.

Nouns. A *pass* goes once over all there is to do, on this host's devices; a *unit* is a piece of it,
after each of which others get their turn and the daemon can be stopped. The *runner* owns the
loop, its pace and its end; a duty is a generator that yields after each unit. Duties, and what only one of them
needs, are in `daemon.duties`; what they share stands beside the runner.

Promises. A unit that fails is told in the log and tried again in a later pass; it never ends the
daemon. Done twice, by one host or several, a unit does no harm.

Knows nothing of servers and proxies.
"""
