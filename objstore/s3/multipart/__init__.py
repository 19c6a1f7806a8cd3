"""Uploads by parts: objects whose content comes in pieces and becomes visible at once.

Nouns: an *upload* is begun under a key and has an id; its *record* has the headers of the object. A *part* has a
number; each time one is uploaded is an *attempt* with a name of its own, and the last to end counts. The *claim* on an
upload decides between requests that complete or abort it. All are objects of the bucket's hidden container `parts`
(`names`).

Promises:

- One native PUT of a manifest of the parts makes the object: readers see the previous or the new
  object. Parts are never overwritten in place, so those that a manifest lists do not change.
- Of the completions and abortions of one upload, one succeeds: the first to make the claim, which a
  conditional PUT decides. The others get OperationAborted while it lasts, and NoSuchUpload after it.
- A repeated completion has the same answer as long as the object exists.
- Bytes count once: a negative row beside the parts of a completed upload compensates for the
  size that the object's own row shows.
- A crash leaves an upload that can be completed or aborted, or parts that no one lists.
"""
