"""Uploads by parts: objects whose content comes in pieces and becomes visible at once.

Nouns: an *upload* is begun under a key and has an id; its *record* keeps what was said of the
object. A *part* has a number; each time one is uploaded is an *attempt* with a name of its own,
the last to end counts. The *claim* on an upload decides between those who would complete or abort it.
All are objects of the bucket's hidden container `parts` (`names`).

Promises:

- The object is made by one put of a manifest of the parts: readers see what was there or the
  new object. Parts are never overwritten in place, so what a manifest lists stays as it is.
- Of completions and abortions of one upload, one has its way: who first makes the claim, which a
  conditional PUT decides. The others are told OperationAborted while it lasts, and NoSuchUpload after it.
- Completing again what was completed has the same answer while the object is there.
- Bytes count once: a negative row beside the parts of a completed upload makes up for the
  size that the object's own row shows.
- What a crash leaves is an upload that can be completed or aborted, or parts that no one lists.
"""
