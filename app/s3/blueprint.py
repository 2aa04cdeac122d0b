"""A blueprint whose routes carry the S3 sub-resource and the IAM action; app/s3/adapter.py makes one of Flask's of it.

    bp = S3Blueprint("object_tagging")

    @bp.put("/<bucket>/<key:key>", subresource="tagging", action="s3:PutObjectTagging")
    def put_object_tagging(request: S3Request) -> S3Response: ...

The view's name is the operation's in snake_case. Views take an `S3Request` that is authenticated and authorised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.s3.routing import Level, Needs, Rule, View


class S3Blueprint:
    def __init__(self, name: str) -> None:
        self.name = name
        self.rules: list[Rule] = []

    def operation(
        self,
        method: str,
        path: str,
        *,
        action: str,
        subresource: str = "",
        version_action: str = "",
        needs: Needs | None = None,
        parameters: Sequence[str] = (),
        copies: bool = False,
        query: tuple[str, str] | None = None,
        name: str = "",
    ) -> Callable[[View], View]:
        """Register a view. `needs` is the bucket unless said otherwise, and nothing on the service itself."""
        level = Level.OBJECT if "<key:" in path else Level.BUCKET if "<bucket>" in path else Level.SERVICE

        def register(view: View) -> View:
            operation = name or "".join(word.capitalize() for word in view.__name__.split("_"))
            self.rules.append(
                Rule(
                    operation=operation,
                    method=method,
                    level=level,
                    action=action,
                    view=view,
                    subresource=subresource,
                    needs=needs or (Needs.NOTHING if level is Level.SERVICE else Needs.BUCKET),
                    parameters=frozenset(parameters),
                    version_action=version_action,
                    copies=copies,
                    query=query,
                    path=path,
                )
            )
            return view

        return register

    def get(self, path: str, **options: object) -> Callable[[View], View]:
        return self.operation("GET", path, **options)  # type: ignore[arg-type]

    def head(self, path: str, **options: object) -> Callable[[View], View]:
        return self.operation("HEAD", path, **options)  # type: ignore[arg-type]

    def put(self, path: str, **options: object) -> Callable[[View], View]:
        return self.operation("PUT", path, **options)  # type: ignore[arg-type]

    def post(self, path: str, **options: object) -> Callable[[View], View]:
        return self.operation("POST", path, **options)  # type: ignore[arg-type]

    def delete(self, path: str, **options: object) -> Callable[[View], View]:
        return self.operation("DELETE", path, **options)  # type: ignore[arg-type]
