"""Launches runs for the pages, through Dagster's GraphQL API: they are queued, shown and recorded as any of the UI."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from orders_sync.acts.by import By
from orders_sync.dagster_instance.attribution import REASON_TAG
from orders_sync.model.errors import UserFacingError
from orders_sync.web.users import User, user_of, with_user


class NotLaunchedError(UserFacingError):
    """A run could not be launched; the text says why."""


@dataclass(frozen=True)
class Launch:
    """What is launched."""

    job: str
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    """The run's config."""
    tags: dict[str, str] = field(default_factory=dict[str, str])
    assets: Sequence[Sequence[str]] = ()
    """The keys of the only assets that are meant; empty: all of the job."""


class Launcher:
    """Launches runs in the name of the user who sends a request."""

    def __init__(self, dagster: ASGIApp) -> None:
        """`dagster`: Dagster's own web app."""
        self._dagster = dagster

    async def launch(self, request: Request, launch: Launch, by: By) -> str:
        """Puts a run into Dagster's queue; returns its id. Raises NotLaunchedError.

        `by`: who launches it, and why; the run has the reason as a tag.
        """
        location, repository = await self._repository(request)
        selector = {
            "repositoryLocationName": location, "repositoryName": repository, "jobName": launch.job,
            **({"assetSelection": [{"path": list(key)} for key in launch.assets]} if launch.assets else {}),
        }  # fmt: skip
        tags = [{"key": key, "value": value} for key, value in (launch.tags | _reason_tag(by)).items()]
        parameters = {"selector": selector, "runConfigData": launch.config, "executionMetadata": {"tags": tags}}
        answer = (await self._ask(request, _LAUNCH, {"parameters": parameters}))["launchRun"]
        if "run" not in answer:
            problem = _problem_in(answer)
            if "DagsterInvalidSubsetError" in problem:  # the file of an account is newer than the loaded definitions
                problem = "it has not loaded the account yet. Reload the code location, at Deployment in the UI."
            raise NotLaunchedError(f"Dagster has launched no run: {problem}")
        return str(answer["run"]["runId"])

    async def _repository(self, request: Request) -> tuple[str, str]:
        """The names of the code location and of its repository."""
        found = (await self._ask(request, _REPOSITORIES, {}))["repositoriesOrError"].get("nodes") or ()
        for repository in found:
            return repository["location"]["name"], repository["name"]
        raise NotLaunchedError(
            "Dagster has launched no run: the code location is not loaded. See Deployment in the UI for the reason."
        )

    async def _ask(self, request: Request, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        transport = httpx.ASGITransport(_InNameOf(self._dagster, user_of(request.scope)))
        # The name says nothing: no connection is opened. Dagster's run coordinator tells by a host that a person asks.
        async with httpx.AsyncClient(transport=transport, base_url="http://orders-sync") as client:
            answer = await client.post("/graphql", json={"query": query, "variables": variables})
        document = answer.json()
        if document.get("errors"):
            raise NotLaunchedError(f"Dagster has launched no run: {document['errors'][0]['message']}")
        return document["data"]


def _reason_tag(by: By) -> dict[str, str]:
    return {REASON_TAG: by.reason} if by.reason else {}


class _InNameOf:
    """Dagster's app, for requests of one user."""

    def __init__(self, app: ASGIApp, user: User) -> None:
        self._app = app
        self._user = user

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(with_user(scope, self._user), receive, send)


def _problem_in(answer: Mapping[str, Any]) -> str:
    errors = [error["message"] for error in answer.get("errors", ())]
    return "; ".join(errors) or answer.get("message", answer["__typename"])


_REPOSITORIES = """
query { repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }
"""
_LAUNCH = """
mutation($parameters: ExecutionParams!) { launchRun(executionParams: $parameters) {
  __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on RunConfigValidationInvalid { errors { message } }
  ... on Error { message }
} }
"""
