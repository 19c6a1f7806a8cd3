"""Someone calls us: WSGI requests read, responses made, ranges, conditions, listings, cached infos.

Text conventions: a *native* string is what PEP 3333 puts into environ (bytes decoded as
latin-1); everything inside objstore is text (those bytes decoded as UTF-8, with undecodable
ones kept as surrogates). `requests` converts one way, `responses` the other. Header names
are canonical: each word capitalised, as `str.title` does.

`errors` holds the one table from core errors to HTTP statuses. Knows nothing of nodes,
rings and disks.
"""
