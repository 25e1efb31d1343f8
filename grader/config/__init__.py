"""``course.yaml`` -> ``Course``: the models, the loader, the JSON Schema and the reference page.

``python -m grader.config`` writes ``course.schema.json`` and ``docs/course-yaml.md`` anew from the models.
"""

from __future__ import annotations

from grader.config.course import (
    Assignment,
    CISettings,
    Course,
    Defaults,
    Exercise,
    LatePolicy,
    LimitSettings,
    Paths,
    SandboxNumbers,
    closest,
)
from grader.config.load import load_course
from grader.config.reference import reference, schema, schema_text
from grader.config.yamlfile import dotted, read_yaml

__all__ = [
    "Assignment",
    "CISettings",
    "Course",
    "Defaults",
    "Exercise",
    "LatePolicy",
    "LimitSettings",
    "Paths",
    "SandboxNumbers",
    "closest",
    "dotted",
    "load_course",
    "read_yaml",
    "reference",
    "schema",
    "schema_text",
]
