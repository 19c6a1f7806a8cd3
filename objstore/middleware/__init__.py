"""WSGI filters of the pipeline, one per file, each made by a PasteDeploy `filter_factory`.

A *filter* is a class made with the app below it and its settings. It has that app as `.app`; a filter shown in /info
has a method `info()` that returns sections by name. Its settings are a class in its module, whose table is `SETTINGS`;
see doc/middleware.md for the order of the pipeline.

Filters share data in environ:

- `objstore.trans_id`: the transaction id, by `catch_errors`.
- `objstore.cache`: see `web.infos`, by `cache`.
- `objstore.source`: the maker of a subrequest; absent for clients' requests.
- `objstore.log_info`: a list of texts that any filter may add to, for the access log.
- `objstore.web_page`: the answer is a page of a web site, not a listing, by `staticweb`.
- `objstore.client_host`: the Host header of the client, by filters that replace it.
- `objstore.raw_target`: path and query as received, by the HTTP server.

Filters know nothing of nodes, rings and disks.
"""
