"""What functional and probe tests share: servers that are started and ended, and a client that hides nothing.

Nothing here imports objstore: these tests see what any other program sees.
"""
