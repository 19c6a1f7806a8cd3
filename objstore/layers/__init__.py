"""The object layer: what both APIs ask of the store, as calls with values.

A layer implements `interface.ObjectLayer` around another one. The innermost is the cluster; each further one gives
objects a property that clients of both APIs see: a manifest is read as what it stands for. The languages (`swift`,
`s3`) call the outermost and know nothing of the others.
"""
