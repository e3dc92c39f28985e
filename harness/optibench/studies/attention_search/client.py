"""Chat completions of any OpenAI-compatible endpoint, over the standard library's HTTP."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from optibench.errors import HarnessError
from optibench.studies.attention_search.settings import Endpoint

_LARGEST = 4 * 2**20
"""Maximum size of an answer, in bytes."""
_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504}


class EndpointError(HarnessError):
    """The endpoint gave no completion after all retries."""


def complete(endpoint: Endpoint, model: str, messages: Sequence[dict[str, str]], seed: int) -> str:
    """Request one completion.

    Args:
        endpoint: The endpoint and its number of retries.
        model: The model's name.
        messages: ``role`` and ``content`` each.
        seed: Sent with the request; endpoints that support it give the same answer again.

    Raises:
        EndpointError: The endpoint cannot be reached, refuses, or does not answer with a completion.
    """
    body = {
        "model": model,
        "messages": list(messages),
        "temperature": endpoint.temperature,
        "top_p": endpoint.top_p,
        "max_tokens": endpoint.max_tokens,
        "seed": seed,
    }
    headers = {"Content-Type": "application/json"}
    if endpoint.token:
        headers["Authorization"] = f"Bearer {endpoint.token}"
    url = f"{endpoint.api_base}/chat/completions"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
    for attempt in range(endpoint.retries + 1):
        if attempt:
            time.sleep(endpoint.retry_delay)
        try:
            with urllib.request.urlopen(request, timeout=endpoint.timeout) as answer:
                return _content(answer.read(_LARGEST), url)
        except urllib.error.HTTPError as error:
            problem = f"it answered {error.code} {error.reason}"
            error.close()
            if error.code not in _AGAIN:
                break
        except (OSError, http.client.HTTPException) as error:
            problem = str(getattr(error, "reason", error)) or type(error).__name__
    raise EndpointError(f"No completion from {url}: {problem}; check api_base, the model's name and the key.")


def _content(answer: bytes, url: str) -> str:
    try:
        found: Any = json.loads(answer)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        found = None
    if not isinstance(found, str):
        raise EndpointError(f"{url} answered without choices[0].message.content: is it a chat completions endpoint?")
    return found
