"""Operations on uploads in parts."""

from objstore.s3.operations.uploads import (
    abort,
    complete,
    create,
    part,
    part_copy,
)

RESOURCES = (
    abort,
    complete,
    create,
    part,
    part_copy,
)
