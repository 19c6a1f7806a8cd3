"""HTTP/1.1 over green sockets: the WSGI server, and the pooled client that talks to storage nodes.

Nouns: a *stream* is a connected socket with its left-over bytes; a *head* is everything up to
the empty line; a *source* yields the bytes of one message body, whatever its framing; a *piece*
is a run of body bytes of up to a megabyte.

Promises: a request that could be read in two ways is refused (request smuggling); a truncated
body is never treated as a complete one, at either end; every limit and timeout is a setting.

Knows nothing of what the bytes mean: no names, no accounts, no authentication.
"""
