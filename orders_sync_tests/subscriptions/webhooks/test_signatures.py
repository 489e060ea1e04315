"""Signatures by the Standard Webhooks specification: a stranger's library accepts them."""

import base64
import json
import subprocess
import time
from pathlib import Path

import pytest

from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.subscriptions.webhooks.signatures import SecretError, key_of, make_secret, signature_headers
from orders_sync.testing.waiting import limit
from orders_sync_tests import npm_packages

FOLDER = PROJECT_ROOT / ".standardwebhooks"
VERIFY = """
const { Webhook } = require("standardwebhooks");
const { secrets, headers, body } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const verdicts = secrets.map(secret => {
  try { new Webhook(secret).verify(body, headers); return true; } catch { return false; }
});
console.log(JSON.stringify(verdicts));
"""


def accepted(folder: Path, secrets: list[str], headers: dict[str, str], body: str) -> list[bool]:
    """Whether the library of the specification's authors accepts a call, with each secret."""
    done = subprocess.run(
        ["node", "-e", VERIFY], cwd=folder, input=json.dumps({"secrets": secrets, "headers": headers, "body": body}),
        capture_output=True, text=True, timeout=limit(60),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_example_of_the_specification() -> None:
    """https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/python/tests/test_webhooks.py"""
    headers = signature_headers(
        [key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
        b'{"test": 2432232314}',
    )  # fmt: skip
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.needs("npm")
def test_a_strangers_library_accepts_both_secrets_while_one_is_replaced() -> None:
    npm_packages.install(FOLDER, {"standardwebhooks": "1.1.1"})
    new, former, other = make_secret(), make_secret(), make_secret()
    body = '{"data": "ö €"}'
    headers = signature_headers([key_of(new), key_of(former)], "17", int(time.time()), body.encode())
    assert accepted(FOLDER, [new, former, other], headers, body) == [True, True, False]
    assert accepted(FOLDER, [new], headers, body + " ") == [False]
    assert accepted(FOLDER, [new], headers | {"webhook-id": "18"}, body) == [False]


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("whsec_***", "is no Base64 after whsec_"),
        ("whsec_" + base64.b64encode(b"short").decode(), "has 5 bytes; allowed are 24 to 64"),
        ("whsec_" + base64.b64encode(b"x" * 65).decode(), "has 65 bytes"),
        ("", "has 0 bytes"),
    ],
)
def test_a_secret_that_can_not_be_used(secret: str, said: str) -> None:
    with pytest.raises(SecretError, match=said.replace("*", r"\*")):
        key_of(secret)
