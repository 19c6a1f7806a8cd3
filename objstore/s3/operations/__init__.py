"""S3's operations, one file each, with an `Operation` as OPERATION: the router looks through this package."""
