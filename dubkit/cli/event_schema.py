"""The JSON Schema of one line of ``--json``, made of the classes in `events`.

Alone because it loads pydantic, which those who write events need not.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from dubkit.cli import events

EVENTS: tuple[type[events.Event], ...] = (
    events.Planned, events.Advanced, events.Progressed, events.JobBegun, events.JobEnded, events.ShotPlanned,
    events.Gated, events.Noted, events.Warned, events.Result,
)  # fmt: skip
EXIT_CODES = {
    0: "done", 1: "a bug", 2: "wrong request", 3: "unusable media", 4: "something is not installed",
    5: "a program failed", 6: "work folder", 7: "weights", 8: "output",
    9: "the dub is off the film", 10: "partly done", 130: "interrupted",
}  # fmt: skip


class _Untitled(GenerateJsonSchema):
    """Fields have no title beside their name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def event_schema() -> dict[str, Any]:
    """The whole schema; ``$defs`` holds one for each event, by its name."""
    definitions: dict[str, Any] = {}
    for kind in EVENTS:
        made = TypeAdapter(kind).json_schema(mode="serialization", schema_generator=_Untitled)
        definitions |= made.pop("$defs", {})
        properties = made["properties"]
        if "exit_code" in properties:
            properties["exit_code"] = {"$ref": "#/$defs/exit_code"}
        made |= {
            "properties": {"event": {"const": kind.event}, **properties},
            "required": list(properties),
        }
        definitions[kind.event] = made
    words = ", ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items())
    definitions["exit_code"] = {"description": f"{words}.", "enum": list(EXIT_CODES)}
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "title": "One line of what dubkit writes with --json",
        "description": "Readers should ignore events and fields that they do not know: more may be added, none is "
        "renamed or removed within a major version. The last line is always a result.",
        "type": "object",
        "required": ["event", "time"],
        "properties": {
            "event": {"type": "string"},
            "time": {
                "type": "number",
                "minimum": 0,
                "description": "Seconds since the command began.",
            },
            "job": {"type": "string", "description": "In a batch: the job that it is about."},
        },
        "oneOf": [{"$ref": f"#/$defs/{kind.event}"} for kind in EVENTS],
        "$defs": definitions,
    }
