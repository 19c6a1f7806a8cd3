"""Headers of the inside of the cluster that more than the servers and their callers know.

An object layer shows the first four with what it opens or looks up.
"""

from __future__ import annotations

POLICY = "X-Backend-Storage-Policy-Index"
STORED_TIMESTAMP = "X-Backend-Timestamp"  # of the newest change that is known of the name
DATA_TIMESTAMP = "X-Backend-Data-Timestamp"  # of an object's last PUT
BYTES_ELSEWHERE = "X-Backend-Container-Bytes-Elsewhere"  # of a container's bytes, those that another one counts too
DELETE_TIMESTAMP = "X-Backend-Delete-Timestamp"  # of the last deletion of an account or container
POLICY_NAME = "X-Storage-Policy"
# With an object whose listing is to show other values than its own (a manifest its whole size).
OVERRIDE = "X-Object-Sysmeta-Container-Update-Override-"
