"""The S3 operations, one blueprint a resource. `BLUEPRINTS` is every rule of the server."""

from __future__ import annotations

from app.s3.blueprint import S3Blueprint

BLUEPRINTS: tuple[S3Blueprint, ...] = ()
