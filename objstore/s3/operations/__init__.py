"""S3's operations, one file each, with an `Operation` as OPERATION; the router finds them by the package's list of modules."""
