"""Packaging; tool settings are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "objstore/__init__.py").read_text())[1]

FILTERS = (
    "backend_ratelimit",
    "cache",
    "catch_errors",
    "cname_lookup",
    "container_sync",
    "copy",
    "crossdomain",
    "domain_remap",
    "etag_quoter",
    "formpost",
    "gatekeeper",
    "healthcheck",
    "info",
    "list_endpoints",
    "listing_formats",
    "manifests",
    "metrics",
    "name_check",
    "proxy_logging",
    "ratelimit",
    "read_only",
    "recon",
    "staticweb",
    "storage_logging",
    "tempurl",
)

setup(
    name="objstore",
    version=VERSION,
    description="A replicated object store that speaks the Swift and S3 APIs",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["objstore", "objstore.*"]),
    scripts=sorted(str(path.relative_to(HERE)) for path in (HERE / "bin").iterdir()),
    install_requires=[
        "eventlet>=0.40",  # green threads; imported by objstore/runtime/green.py alone
        "greenlet>=3.0",
        "httptools>=0.6",  # HTTP/1.1 parsing by llhttp
        "PasteDeploy>=3.1",
        "lxml>=5.0",
        "awscrt>=0.31",  # CRC32C and CRC64NVME at tens of GB/s; combines CRCs of parts
        "isal>=1.5.3",  # CRC32, what most SDKs send, nine times as fast as by awscrt; the oldest that was tried
        "xxhash>=3.2",  # S3's XXHASH checksums at the speed of memory; 3.2 is the oldest with wheels for Python 3.11
        "psutil>=5.9",
        "click>=8.1",
        "rich>=13.0",
        "prometheus-client>=0.20",
        "numpy>=1.26",  # ring balancing only
    ],
    extras_require={
        "cname": ["dnspython>=2.3"],  # the filter cname_lookup
        "memcached": ["pymemcache>=4.0"],
        # tar.zst archives in bulk uploads; Python has it from 3.14 on. 0.22 is the first with limited windows as here.
        "zstd": ["zstandard>=0.22; python_version < '3.14'"],
        "test": [
            "pytest>=9.0",
            "pytest-xdist>=3.5",
            "hypothesis>=6.120",
            "boto3>=1.36",
            "python-swiftclient>=4.5",
            "dnspython>=2.3",
            "pymemcache>=4.0",
            "zstandard>=0.22",
            "ruff>=0.6",
            "mypy>=1.11",
        ],
    },
    entry_points={
        "console_scripts": ["objstore = objstore.cli.main:main"],
        "paste.app_factory": [
            f"{kind} = objstore.assembly.apps:{kind}_factory" for kind in ("proxy", "account", "container", "object")
        ],
        "paste.filter_factory": [
            *(f"{name} = objstore.middleware.{name}:filter_factory" for name in FILTERS),
            "bulk = objstore.swift.bulk.filter:filter_factory",
            "s3 = objstore.s3.filter:filter_factory",
            "slo = objstore.swift.large_objects.filter:filter_factory",
            "tempauth = objstore.auth.tempauth:filter_factory",
        ],
    },
)
