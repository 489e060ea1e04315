"""A mutation whose effect can be seen: a materialization of an asset is reported."""

import httpx


def report(asset: str) -> str:
    """The mutation that reports a materialization of an asset."""
    return (
        f'mutation {{reportRunlessAssetEvents(eventParams: {{eventType: ASSET_MATERIALIZATION, assetKey: {{path: "{asset}"}}'
        "}) {__typename}}"
    )


def reported(url: str, cookies: dict[str, str] | None = None, headers: dict[str, str] | None = None) -> set[str]:
    """The assets of which a materialization was reported."""
    query = "{assetsOrError {... on AssetConnection {nodes {key {path}}}}}"
    answer = httpx.post(f"{url}/graphql", json={"query": query}, cookies=cookies, headers=headers, trust_env=False)
    return {node["key"]["path"][0] for node in answer.json()["data"]["assetsOrError"]["nodes"]}
