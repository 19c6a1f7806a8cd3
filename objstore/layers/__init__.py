"""The object layer: the operations that both APIs call on the store, with values.

A layer implements `interface.ObjectLayer` around another one. The innermost is the cluster; each further one gives
objects a property that clients of both APIs see: a manifest is read as the segments it lists. The languages (`swift`,
`s3`) call the outermost and know nothing of the others.
"""
