"""objstore: a replicated object store that speaks the Swift and S3 APIs."""

__version__ = "0.1.0"
