"""What the server is spared: requests too large to be meant, and tracebacks of others' slips."""

from __future__ import annotations

from gradio.route_utils import API_PREFIX
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST = 4 << 20  # bytes, also of what comes over MCP: its library has the same limit
UPLOAD = f"{API_PREFIX}/upload"  # is written to disk as it comes, and has a limit of its own
TOO_LARGE = (
    f"The request is larger than {LARGEST >> 20} MB: send the recording to {UPLOAD}, and give the "
    "path that it answers."
)


class Guard:
    """Middleware between gradio and who calls.

    gradio takes the whole of a request into memory, however large it is. And it looks for an event
    when it has begun to answer, so that who asks for one that there is not gets the end of the
    answer, and who hosts a traceback (`sse_stream` in its `routes.py`).
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].endswith(UPLOAD):
            await self.app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"")
        size, more, started = int(declared) if declared.isdigit() else 0, True, False

        async def counted() -> Message:
            nonlocal size, more
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
            if size > LARGEST:
                raise ClientDisconnect  # as if nobody were there any more
            return message

        async def answer(message: Message) -> None:
            nonlocal started
            if size <= LARGEST:  # else it would be what gradio makes of that
                started = True
                await send(message)

        if size <= LARGEST:
            size = 0
            try:
                await self.app(scope, counted, answer)
            except Exception as error:
                cause = error.__cause__
                if started and isinstance(cause, HTTPException) and cause.status_code == 404:
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                elif size <= LARGEST:
                    raise
        if size > LARGEST and not started:
            while more:  # or who calls might see no answer, but a connection that breaks
                more = (await receive()).get("more_body", False)
            await JSONResponse({"detail": TOO_LARGE}, 413)(scope, receive, send)
