"""Placement: which devices hold a name's partition.

A *ring* divides the space of hashes into 2^part_power *partitions* and says for each of its
*replicas* which *device* holds it: the partition's *primaries*. *Handoffs* are the other devices,
in the order in which they stand in for primaries. A *builder* is the operator's side: devices with
weights in failure domains (region, zone, host), from which *rebalance* makes a new assignment with
as few moves as it can. *Previous* devices are those that held a replica before it moved.

Promises: a ring file is complete and checked or is not loaded; look-up needs only the standard
library, and all processes of a host share the table's memory; the builder never gives up two
replicas of a partition in one step, except where their devices are gone.

Knows nothing of servers, requests or what is stored.

Only look-up is exported here. The builder's modules (`builder`, `balance`, `shares`, `checks`)
need numpy and are imported by name.
"""

from objstore.ring.loader import RingLoader
from objstore.ring.ring import Ring

__all__ = ["Ring", "RingLoader"]
