"""Background work: each daemon has one duty, done in passes.

Nouns. A *pass* covers all work on this host's devices once; a *unit* is a piece of it, after which other green threads
run and the daemon can be stopped. The *runner* owns the loop, its pace and its end; a duty is a generator that yields
after each unit. Duties, and modules used by only one of them, are in `daemon.duties`; shared modules are beside the
runner.

Promises. A unit that fails is logged and retried in a later pass; it never ends the daemon. A unit done twice, by one
host or several, does no harm.

The package knows nothing of servers and proxies.
"""
