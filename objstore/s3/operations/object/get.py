"""GetObject and HeadObject."""

from __future__ import annotations

from objstore.s3 import reading
from objstore.s3.operation import Operation

OPERATIONS = (
    Operation("GetObject", "GET", "object", reading.answer, "s3:GetObject", versioned_action="s3:GetObjectVersion"),
    Operation("HeadObject", "HEAD", "object", reading.answer, "s3:GetObject", versioned_action="s3:GetObjectVersion"),
)
