"""Attributes that our own settings check, not Dagster's loader: their errors name file, key and allowed values."""

from functools import reduce
from typing import Any

from pydantic import BaseModel, ConfigDict


def attributes_of(*settings: type[BaseModel]) -> type[BaseModel]:
    """A model that accepts every attribute.

    Its JSON schema, for `dg docs` and editors, has the fields of all `settings`. It requires the fields that all of
    them require.
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
