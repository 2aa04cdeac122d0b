"""The scenarios leave nothing out."""

from __future__ import annotations

import ast
import inspect

from tests.clients import scenarios


def test_the_scenarios_use_every_operation() -> None:
    tree = ast.parse(inspect.getsource(scenarios))
    played = {
        str(argument.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("call", "refused", "pages")
        for argument in node.args
        if isinstance(argument, ast.Constant)
    }
    listed = {"ListObjects", "ListObjectsV2"}  # in a loop over both
    assert scenarios.OPERATIONS - played - listed == set()


def test_every_scenario_is_played() -> None:
    taking_call = {
        function
        for function in vars(scenarios).values()
        if inspect.isfunction(function) and list(inspect.signature(function).parameters) == ["call", "bucket"]
    }
    assert taking_call == {*scenarios.SCENARIOS, *scenarios.RECENT_SCENARIOS}
