"""The JSON Schema for editors and the reference page, both generated from the models."""

from __future__ import annotations

import json
from typing import Any

from grader.config.course import Assignment, CISettings, Course, Defaults, Exercise, LatePolicy, LimitSettings, Paths

__all__ = ["reference", "schema", "schema_text"]

_SECTIONS: tuple[tuple[str, type[Any]], ...] = (
    ("The course", Course),
    ("`assignments[]`", Assignment),
    ("`assignments[].exercises[]`", Exercise),
    ("`defaults`", Defaults),
    ("`limits`", LimitSettings),
    ("`late`", LatePolicy),
    ("`paths`", Paths),
    ("`ci`", CISettings),
)
_HEAD = """\
# course.yaml

<!-- Generated from the models in grader/config by `python -m grader.config`; edit the docstrings there. -->

Everything about a course stands in one file, `course.yaml`, in the course's folder. Unknown keys and wrong values are
errors that name the line. Editors that know YAML schemas complete and explain the keys when the file begins with
`# yaml-language-server: $schema=course.schema.json`.
"""


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of ``course.yaml``."""
    made = Course.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def schema_text() -> str:
    """What ``course.schema.json`` holds."""
    return json.dumps(schema(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def reference() -> str:
    """What ``docs/course-yaml.md`` holds."""
    parts = [_HEAD]
    definitions = schema()["$defs"]
    for title, model in _SECTIONS:
        made = schema() if model is Course else definitions[model.__name__]
        inherited = set(Defaults.model_fields) if model is Assignment else set()
        rows = [
            f"| `{key}` | {_kind(made['properties'][key])} | {_default(key, made)} | {_line(field.description)} |"
            for name, field in model.model_fields.items()
            if name not in inherited and (key := field.alias or name)
        ]
        text = " ".join((model.__doc__ or "").split())
        parts.append(
            "\n".join(
                [f"## {title}\n", f"{text}\n", "| key | value | default | |", "| --- | --- | --- | --- |", *rows, ""]
            )
        )
    return "\n".join(parts)


def _line(description: str | None) -> str:
    return " ".join((description or "").split()).replace("|", "\\|")


def _default(key: str, made: dict[str, Any]) -> str:
    if key in made.get("required", ()):
        return "required"
    value = made["properties"][key].get("default")
    if value in (None, {}, []):
        return ""
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _kind(field: dict[str, Any]) -> str:
    if "$ref" in field or "allOf" in field:
        return "mapping"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "anyOf" in field:
        kinds = dict.fromkeys(_kind(option) for option in field["anyOf"] if option != {"type": "null"})
        return " or ".join(kinds)
    if "const" in field:
        return f"`{field['const']}`"
    names = {
        "string": "text",
        "boolean": "`true` or `false`",
        "number": "number",
        "integer": "whole number",
        "array": "list",
        "object": "mapping",
    }
    if "examples" in field:
        return f"text such as `{field['examples'][0]}`"
    if field.get("type") == "array" and "enum" in field.get("items", {}):
        return f"list of {', '.join(f'`{value}`' for value in field['items']['enum'])}"
    return names[field["type"]]
