"""Server access logs of buckets: what clients asked of a bucket, as log objects in another one.

A *record* is the line of a request, in S3's format. Workers append records to files of a *spool*, a directory of the
host; a pass of each worker *rolls* its file when it is old or large enough, and *delivers* closed files: the records of
each bucket become a log object in its target bucket. The name of a log object follows from its file, so that a second
delivery writes nothing twice. Nothing here knows of HTTP.
"""
