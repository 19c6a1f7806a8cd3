"""Renewing the proxy's pipeline in the directory of `objstore serve` when the program has become newer.

The first start writes the file once and for all, so an upgrade would leave the features of new filters off. A pipeline
that is exactly the usual one of an earlier version is replaced by the usual one of today; one that an operator has
changed stays, and the start warns of the filters that it lacks.
"""

from __future__ import annotations

import re

from objstore.assembly.conf_text import Values, filter_section
from objstore.assembly.kinds import ServerKind

# The usual pipelines of earlier versions, without the app.
_START = "catch_errors gatekeeper healthcheck metrics proxy_logging cache info"
FORMER = frozenset(
    {
        f"{_START} listing_formats tempauth copy",
        f"{_START} s3 listing_formats tempauth copy",
        f"{_START} s3 listing_formats tempauth copy manifests",
        f"{_START} s3 listing_formats tempauth",
    }
)
_PIPELINE = re.compile(r"^pipeline\s*=\s*(.*?)\s+(\S+-server)[ \t]*$", re.MULTILINE)


def renewed(text: str, kind: ServerKind, values: Values) -> str:
    """Return the text of a configuration file with the usual pipeline of today, if it has one of FORMER.

    values: of the sections that are added. Sections that are there stay as they are.
    """
    found = _PIPELINE.search(text)
    if found is None or " ".join(found[1].split()) not in FORMER:
        return text
    text = f"{text[: found.start(1)]}{' '.join(kind.filters)}{text[found.end(1) :]}"
    missing = [name for name in kind.filters if not re.search(rf"^\[filter:{name}\]", text, re.MULTILINE)]
    return "\n".join([text.rstrip("\n") + "\n", *(filter_section(name, values) for name in missing)])
