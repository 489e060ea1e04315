"""Attributes that are checked by our own settings, whose errors name file, key, reason and what is allowed."""

from typing import Any

from pydantic import BaseModel, ConfigDict


def attributes_of(settings: type[BaseModel]) -> type[BaseModel]:
    """A model that takes whatever the file says, so that a wrong value is told by us and not by Dagster's loader.

    Its schema is that of `settings`, for `dg docs` and editors.
    """

    class FreeAttributes(BaseModel):
        model_config = ConfigDict(extra="allow")

        @classmethod
        def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> Any:
            return handler(settings.__pydantic_core_schema__)

    return FreeAttributes
