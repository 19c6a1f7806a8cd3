"""The formats of S3: errors, XML documents, dates, checksums and tags. Knows nothing of the store."""
