"""Recordings that programs and assistants name by their address on the web.

gradio fetches them as whole into memory, however large they are, and as long as it takes
(`processing_utils.async_ssrf_protected_download`); ours are written to disk as they come, and no
larger than what may be uploaded. Nobody reaches what is not public: `safehttpx` and `public` see to
that, for each address that an answer refers to as well.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urljoin

import gradio as gr
import httpx
import safehttpx
from gradio import processing_utils
from gradio_client.utils import strip_invalid_filename_characters

from asr_core.files import whole

PATIENCE = 150  # seconds for all of a recording ...
PIECE, PAUSE = 400_000, 20  # ... of which so many bytes come within so many seconds
AS_IT_IS = {"Accept-Encoding": "identity"}  # a few bytes may unpack to gigabytes

# Providers' own services, old names of private networks, and ways to IPv4 inside of IPv6.
NOT_PUBLIC = [
    ipaddress.ip_network(network)
    for network in ("192.0.0.0/24", "168.63.129.16", "fec0::/10", "2001::/32", "2002::/16")
]


def bound(limit: int) -> None:
    """From now on, nothing of more than `limit` bytes is fetched."""
    processing_utils.async_ssrf_protected_download = partial(fetch, limit=limit)


async def fetch(url: str, cache_dir: str, limit: int) -> str:
    """The path of what is at `url`, in `cache_dir`, where it stays until gradio sweeps it away.

    Raises gradio's Error, in one sentence, when it cannot be had.
    """
    folder = Path(cache_dir).absolute() / processing_utils.hash_url(url)
    try:
        name = strip_invalid_filename_characters(Path(httpx.URL(url).path).name).lstrip(".")
        path = folder / (name or "recording")
        if path.exists():
            return str(path)
        folder.mkdir(parents=True, exist_ok=True)
        async with (
            asyncio.timeout(PATIENCE),
            asyncio.timeout(PAUSE) as pause,
            _opened(url) as response,
        ):
            response.raise_for_status()
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise ValueError("it comes packed (Content-Encoding), which was not asked for")
            size, awaited = 0, PIECE
            with whole(path) as coming, coming.open("wb") as file:
                async for chunk in response.aiter_raw():
                    size += len(chunk)
                    if size > limit:
                        raise ValueError(f"it is larger than {limit / 2**20:.0f} MB")
                    if size >= awaited:
                        awaited = size + PIECE
                        pause.reschedule(asyncio.get_running_loop().time() + PAUSE)
                    file.write(chunk)
    except TimeoutError as error:
        least = f"{PIECE // 1000} kB are awaited for {PAUSE} seconds, all of it for {PATIENCE}"
        raise _refusal(url, f"it comes too slowly: {least}") from error
    except httpx.HTTPStatusError as error:
        code = error.response.status_code
        raise _refusal(url, f"the answer was {code} {error.response.reason_phrase}") from error
    except (ValueError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise _refusal(url, str(error) or type(error).__name__) from error
    return str(path)


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[httpx.Response]:
    """The answer at `url`, or where it refers to, before its body is read."""
    for _ in range(processing_utils.MAX_REDIRECTS):
        async with (
            httpx.AsyncClient(transport=await _transport(url), timeout=None) as client,
            client.stream("GET", url, headers=AS_IT_IS) as response,
        ):
            if not response.has_redirect_location:
                yield response
                return
            url = urljoin(url, response.headers["Location"])
    raise ValueError("it refers to other addresses without end")


async def _transport(url: str) -> httpx.AsyncBaseTransport | None:
    """A way to the very machine that was found to be a public one."""
    host = httpx.URL(url).host
    if safehttpx.matches_domain_whitelist(host, processing_utils.PUBLIC_HOSTNAME_WHITELIST):
        return None
    address = await safehttpx.async_validate_url(host)
    if not public(address):
        raise ValueError(f"{address} is not a public address")
    return safehttpx.AsyncSecureTransport(address)


def public(address: str) -> bool:
    """Whether everybody on the web can reach it: `safehttpx` takes some for public that are not."""
    ip = ipaddress.ip_address(address)
    return (
        ip.is_global
        and not (ip.is_multicast or ip.is_reserved)
        and not any(ip in network for network in NOT_PUBLIC)
    )


def _refusal(url: str, reason: str) -> gr.Error:
    return gr.Error(f"{url} cannot be fetched: {reason.rstrip('.')}.", print_exception=False)
