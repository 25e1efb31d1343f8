"""What a file of checks consists of, read without running it: which check changed and which did not."""

from __future__ import annotations

import ast
import hashlib

__all__ = ["check_versions"]


def check_versions(source: bytes) -> dict[str, str]:
    """Hex SHA-256 of each check in a file, by the check's id.

    A check's version covers its own function and all that is no check: imports, constants, helpers, ``FORBIDDEN``. A
    test function that is named anywhere else in the file counts as a helper too. Comments and layout count for
    nothing. Empty when the file is no Python: collecting it will say so.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return {}
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    named |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    own: dict[str, str] = {}
    scopes: list[ast.Module | ast.ClassDef] = [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))]
    for scope in scopes:
        prefix = f"{scope.name.removeprefix('Test')}." if isinstance(scope, ast.ClassDef) else ""
        rest: list[ast.stmt] = []
        for node in scope.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
                own[prefix + node.name.removeprefix("test_")] = ast.dump(node)
                if node.name not in named:
                    continue
            rest.append(node)
        scope.body = rest
    shared = ast.dump(tree)
    return {name: hashlib.sha256(f"{text}\0{shared}".encode()).hexdigest() for name, text in own.items()}
