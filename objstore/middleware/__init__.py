"""WSGI filters of the pipeline, one a file, each made by a PasteDeploy `filter_factory`.

A *filter* is a class made with the app below it and its settings. It keeps that app as
`.app`; one that clients can ask about in /info has a method `info()` that returns
sections by name. Its settings are a class in its module, whose table is `SETTINGS`; doc/middleware.md
tells the order of the pipeline.

What filters share with each other stands in environ:

- `objstore.trans_id`: the transaction id, by `catch_errors`.
- `objstore.cache`: see `web.infos`, by `cache`.
- `objstore.source`: who made a subrequest; absent for clients' requests.
- `objstore.log_info`: a list of texts that any filter may add to, for the access log.
- `objstore.raw_target`: path and query as they came, by the HTTP server.

Filters know nothing of nodes, rings and disks.
"""
