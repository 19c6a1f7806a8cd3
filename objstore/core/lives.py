"""Lives of a container, and the headers about them that servers, proxies and filters share.

A container can be deleted and made again under its name. Each time it begins another *life*, identified by the
timestamp of the deletion before it. A write of an object names the life that its writer saw; the container's servers
refuse it in any other life. See doc/consistency.md.
"""

from __future__ import annotations

# With a PUT of an object, and with its row. A filter sends it with a PUT that depends on other data of that life.
LIFE = "X-Backend-Container-Life"
ENDED = "X-Backend-Container-Ended"  # with the refusal of a PUT: the life has ended
# With the answer to a container's DELETE: a replica was away. It may later return rows that the others lack.
PARTLY = "X-Backend-Deleted-Partly"
