"""Events in the envelope of CloudEvents 1.0.2, in its structured JSON form.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"


def cloud_event(content: Mapping[str, Any]) -> bytes:
    """The envelope around an event, as JSON. `source` and `id` together identify it, however often it is sent."""
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": content["id"],
            "source": f"/orders_sync/{quote(str(content['account']), safe='')}",
            "type": f"orders_sync.{content['kind']}",
            "subject": content["order_id"],
            "time": content["recorded_at"],
            "datacontenttype": "application/json",
            "dataschema": f"urn:orders-sync:order-event:{content['version']}",
            "data": content,
        }
    )
