"""Buckets as websites (S3 user guide, "Hosting a static website").

Nouns: the *website* of a bucket is its configuration (`configuration`); a *visit* is a request of a browser for a page
of it (`visit`). `routing` decides over redirects, `pages` makes the pages for errors, and `hosting` finds the website
by the host of a request.

Promises: a visit reads what an anonymous GET of the S3 API could read, and changes nothing.
"""
