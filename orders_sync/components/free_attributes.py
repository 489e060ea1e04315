"""Attributes that are checked by our own settings, whose errors name file, key, reason and what is allowed."""

from functools import reduce
from typing import Any

from pydantic import BaseModel, ConfigDict


def attributes_of(*settings: type[BaseModel]) -> type[BaseModel]:
    """A model that takes whatever the file says, so that a wrong value is told by us and not by Dagster's loader.

    Its schema, for `dg docs` and editors, has the fields of all `settings`; required are those that all require.
    """

    class FreeAttributes(BaseModel):
        model_config = ConfigDict(extra="allow")

        @classmethod
        def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> Any:
            schemas = [handler.resolve_ref_schema(handler(each.__pydantic_core_schema__)) for each in settings]
            return {
                "type": "object",
                "properties": reduce(lambda all_, schema: {**schema["properties"], **all_}, schemas, {}),
                "required": sorted(set.intersection(*(set(schema.get("required", ())) for schema in schemas))),
                "additionalProperties": False,
            }

    return FreeAttributes
