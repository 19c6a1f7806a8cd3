"""GetObject and HeadObject."""

from __future__ import annotations

from objstore.s3.operation import Operation
from objstore.s3.operations.object import reading

OPERATIONS = (
    Operation("GetObject", "GET", "object", reading.answer, "s3:GetObject", versioned_action="s3:GetObjectVersion"),
    Operation("HeadObject", "HEAD", "object", reading.answer, "s3:GetObject", versioned_action="s3:GetObjectVersion"),
)
