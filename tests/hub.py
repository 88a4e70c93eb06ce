"""A small Hugging Face Hub on 127.0.0.1, so that tests can use the real clients without a network.

    with Hub() as hub:
        hub.add_model("owner/name", folder)
        subprocess.run([...], env=hub.environment(tmp_path / "home", token="writer"))
        hub.files("tester/pushed")["README.md"]

huggingface_hub reads its endpoint when it is imported, so clients run in a process of their own.
Repositories live in memory. What the endpoints answer follows huggingface_hub 2.4 (`hf_api.py`,
`_commit_api.py`, `lfs.py`, `file_download.py`); errors carry the Hub's own `X-Error-Code` and
`X-Error-Message`, which is what the client makes its exceptions of.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import secrets
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

LFS_SUFFIXES = (".safetensors", ".bin", ".pt", ".parquet", ".arrow", ".wav", ".flac", ".mp3")
ANONYMOUS = "Invalid username or password."


class Refusal(Exception):
    """An answer other than 200, in the Hub's error format."""

    def __init__(self, status: int, code: str | None, message: str, headers: dict | None = None):
        self.status, self.body = status, {"error": message}
        self.headers = {"X-Error-Message": message, **(headers or {})}
        if code:
            self.headers["X-Error-Code"] = code


@dataclass
class Repository:
    kind: str  # "models", "datasets" or "spaces", as in the API's paths
    id: str
    private: bool = False
    gated: bool = False
    branches: dict[str, str] = field(default_factory=dict)  # name -> commit
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)  # commit -> path -> content

    def commit(self, branch: str, files: dict[str, bytes]) -> str:
        self.branches[branch] = oid = secrets.token_hex(20)
        self.commits[oid] = files
        return oid

    def files(self, revision: str) -> dict[str, bytes]:
        return self.commits[self.resolve(revision)]

    def resolve(self, revision: str) -> str:
        commit = self.branches.get(revision, revision)
        if commit not in self.commits:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit


class Hub:
    """The server, and the hands that tests put into it.

    `tokens` maps each accepted token to its role, "write" or "read". All belong to `user`, who
    may write to repositories of that name only. `requests` lists (method, path) in order.
    """

    def __init__(self, *, user: str = "tester", tokens: dict[str, str] | None = None):
        self.user = user
        self.tokens = {"writer": "write", "reader": "read"} if tokens is None else tokens
        self.requests: list[tuple[str, str]] = []
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.objects: dict[str, bytes] = {}  # LFS uploads by SHA-256
        self.lock = threading.RLock()
        self.answering = threading.Event()
        self.answering.set()
        self._fault: tuple[int, str] | None = None
        self._port = 0
        self._server: Server | None = None

    def __enter__(self) -> Hub:
        self.up()
        return self

    def __exit__(self, *_) -> None:
        self.answering.set()
        self.down()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def environment(self, home: Path, token: str | None = None) -> dict[str, str]:
        """This process's environment, pointed at this Hub: own caches, no Xet, no telemetry."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "HUGGING")) and name != "TRANSFORMERS_OFFLINE"
        }
        return kept | {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",  # otherwise uploads go to Xet storage, which is not served
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_ETAG_TIMEOUT": "3",
            "HF_HUB_DOWNLOAD_TIMEOUT": "3",
            "NO_PROXY": "127.0.0.1",
            **({"HF_TOKEN": token} if token else {}),
        }

    # What is stored

    def add_model(self, id: str, folder: Path, *, private: bool = False, gated: bool = False):
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in Path(folder).rglob("*")
            if path.is_file()
        }
        self._add(Repository("models", id, private, gated), files)

    def add_dataset(self, id: str, configurations: dict[str, dict[str, Path]]) -> None:
        """A dataset of one Parquet file per configuration and split, listed in its card."""
        files, card = {}, "---\nconfigs:\n"
        for name, splits in configurations.items():
            card += f"- config_name: {name}\n  data_files:\n"
            for split, parquet in splits.items():
                card += f"  - split: {split}\n    path: {name}/{split}-*\n"
                files[f"{name}/{split}-00000-of-00001.parquet"] = Path(parquet).read_bytes()
        self._add(Repository("datasets", id), files | {"README.md": f"{card}---\n".encode()})

    def _add(self, repository: Repository, files: dict[str, bytes]) -> None:
        repository.commit("main", files)
        self.repositories[repository.kind, repository.id] = repository

    def files(self, id: str, *, kind: str = "models", branch: str = "main") -> dict[str, bytes]:
        return self.repositories[kind, id].files(branch)

    # Faults on purpose

    def fail_after(self, requests: int, path: str = "") -> None:
        """Let that many more requests containing `path` pass; cut the connection of later ones."""
        self._fault = (requests, path)

    def cut_uploads(self, path: str = "/commit/") -> None:
        """Close connections in the middle of an upload's body.

        The commit is not tried again by the client. `path="/storage/"` cuts the upload of weights
        instead, which the client tries six times, 23 seconds in all, before it gives up.
        """
        self.fail_after(0, path)

    def heal(self) -> None:
        self._fault = None

    def stall(self) -> None:
        """Accept requests and answer none, until the Hub is left."""
        self.answering.clear()

    def down(self) -> None:
        """Refuse connections."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def up(self) -> None:
        self._server = Server(("127.0.0.1", self._port), Handler)
        self._server.hub = self
        self._port = self._server.server_port
        # The interval is how long `down` takes to be noticed.
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def must_fail(self, path: str) -> bool:
        with self.lock:
            if self._fault is None or self._fault[1] not in path:
                return False
            left, part = self._fault
            self._fault = (max(0, left - 1), part)
            return left == 0

    # Who may do what

    def repository(
        self, request: Handler, kind: str | None, id: str, *, read=False, write=False
    ) -> Repository:
        """The repository, where the request may `read` its files or `write` to it."""
        namespace = id.split("/")[0]
        if write:
            # The client takes any 401 on a repository's https address for "not found"; the code
            # makes it raise the same exception over http.
            self.check_rights(request, namespace, code="RepoNotFound")
        repository = self.repositories.get((kind or "models", id))
        if repository is None or (repository.private and not request.role):
            if request.role:
                raise Refusal(404, "RepoNotFound", "Repository not found")
            raise Refusal(401, "RepoNotFound", ANONYMOUS)
        if read and repository.gated and not (request.role and namespace == self.user):
            message = f"Access to {id} is restricted and you are not in the authorized list."
            raise Refusal(403 if request.role else 401, "GatedRepo", message)
        return repository

    def check_rights(self, request: Handler, namespace: str, code: str | None = None) -> None:
        if request.role is None:
            raise Refusal(401, code, ANONYMOUS)
        if request.role != "write":
            raise Refusal(403, None, "you must use a write token to upload to a repository.")
        if namespace != self.user:
            raise Refusal(403, None, f"You don't have the rights to write under {namespace!r}")


# The endpoints: each takes the Hub, the request and the parts of its path, and returns JSON.


def whoami(hub: Hub, request: Handler):
    if request.role is None:
        raise Refusal(401, None, ANONYMOUS)
    access = {"displayName": "test", "role": request.role}
    auth = {"type": "access_token", "accessToken": access}
    return {"type": "user", "id": "1", "name": hub.user, "orgs": [], "auth": auth}


def read_card(kind: str, text: str, strict: bool = False) -> dict:
    from huggingface_hub import DatasetCard, ModelCard

    card = DatasetCard if kind.startswith("dataset") else ModelCard
    return card(text, ignore_metadata_errors=not strict).data.to_dict()


def validate_card(hub: Hub, request: Handler):
    asked = request.json()
    try:
        empty = not read_card(asked["repoType"], asked["content"], strict=True)
    except Exception as error:  # YAML errors and malformed evaluation results alike
        refusal = Refusal(400, None, "Invalid metadata")
        refusal.body = {"errors": [{"message": str(error)}], "warnings": []}
        raise refusal from error
    return {"errors": [], "warnings": [{"message": "empty or missing yaml metadata"}] * empty}


def create_repository(hub: Hub, request: Handler):
    asked = request.json()
    namespace = asked.get("organization") or hub.user
    hub.check_rights(request, namespace)
    kind, id = asked.get("type", "model") + "s", f"{namespace}/{asked['name']}"
    answer = {"url": f"{hub.url}/{'' if kind == 'models' else kind + '/'}{id}", "name": id}
    if (kind, id) in hub.repositories:
        refusal = Refusal(409, None, f"You already created this {kind[:-1]} repo")
        refusal.body |= answer
        raise refusal
    hub._add(Repository(kind, id, private=asked.get("visibility") == "private"), {})
    return answer


def information(hub: Hub, request: Handler, kind: str, id: str, revision: str = "main"):
    repository = hub.repository(request, kind, id)
    files = repository.files(revision)
    card = read_card(kind, files["README.md"].decode()) if "README.md" in files else {}
    config = json.loads(files.get("config.json", b"{}"))
    speech = any("ForCTC" in name for name in config.get("architectures") or [])
    return {
        "id": id,
        "author": id.split("/")[0],
        "sha": repository.resolve(revision),
        "private": repository.private,
        "gated": "manual" if repository.gated else False,
        "tags": card.get("tags", []),
        "cardData": card,
        "siblings": [{"rfilename": path} for path in sorted(files)],
        # As the Hub does, guessed from the configuration where the card does not say.
        "library_name": card.get("library_name") or ("transformers" if config else None),
        "pipeline_tag": card.get("pipeline_tag")
        or ("automatic-speech-recognition" if speech else None),
    }


def authorisation(hub: Hub, request: Handler, kind: str, id: str, write: str | None):
    hub.repository(request, kind, id, read=True, write=bool(write))
    return {}


def references(hub: Hub, request: Handler, kind: str, id: str):
    branches = hub.repository(request, kind, id).branches.items()
    named = [{"name": b, "ref": f"refs/heads/{b}", "targetCommit": c} for b, c in branches]
    return {"branches": named, "converts": [], "tags": [], "pullRequests": []}


def tree(hub: Hub, request: Handler, kind: str, id: str, revision: str, folder: str | None):
    repository = hub.repository(request, kind, id)
    prefix = f"{folder}/" if folder else ""
    found = {}
    for path, content in sorted(repository.files(revision).items()):
        if path.startswith(prefix):
            parents = path[len(prefix) :].split("/")[:-1]
            for depth in range(len(parents)):
                parent = prefix + "/".join(parents[: depth + 1])
                found[parent] = {"type": "directory", "path": parent, "oid": "0" * 40, "size": 0}
            found[path] = entry(path, content)
    if folder and not found:
        raise Refusal(404, "EntryNotFound", f"{folder} does not exist on {revision!r}")
    if request.query.get("recursive") == ["true"]:
        return list(found.values())
    return [item for path, item in found.items() if "/" not in path[len(prefix) :]]


def create_branch(hub: Hub, request: Handler, kind: str, id: str, branch: str):
    repository = hub.repository(request, kind, id, write=True)
    if branch in repository.branches:
        raise Refusal(409, None, f"Reference already exists: {branch}")
    start = (request.json() or {}).get("startingPoint", "main")
    repository.branches[branch] = repository.resolve(start)
    return {}


def announce_upload(hub: Hub, request: Handler, kind: str, id: str, revision: str):
    repository = hub.repository(request, kind, id, write=True)
    present = repository.files(revision)

    def plan(path: str) -> dict:
        mode = "lfs" if path.endswith(LFS_SUFFIXES) else "regular"
        oid = etag(path, present[path]) if path in present else None
        return {"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    return {"files": [plan(file["path"]) for file in request.json()["files"]]}


def announce_objects(hub: Hub, request: Handler, kind: str | None, id: str):
    hub.repository(request, kind, id, write=True)
    objects = request.json()["objects"]
    for item in objects:
        item["actions"] = {"upload": {"href": f"{hub.url}/storage/{item['oid']}"}}
    return {"transfer": "basic", "objects": objects}


def receive_object(hub: Hub, request: Handler, oid: str):
    if hashlib.sha256(request.body).hexdigest() != oid:
        raise Refusal(400, None, "The content does not match its SHA-256")
    hub.objects[oid] = request.body
    return {}


def commit(hub: Hub, request: Handler, kind: str, id: str, revision: str):
    repository = hub.repository(request, kind, id, write=True)
    files = dict(repository.files(revision))
    for line in request.body.splitlines():
        operation = json.loads(line)
        key, value = operation["key"], operation["value"]
        if key == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif key == "lfsFile":
            if value["oid"] not in hub.objects:
                raise Refusal(400, None, f"LFS object of {value['path']} was not uploaded")
            files[value["path"]] = hub.objects[value["oid"]]
        elif key == "deletedFile":
            files.pop(value["path"], None)
        elif key == "deletedFolder":
            folder = value["path"].rstrip("/") + "/"
            files = {path: files[path] for path in files if not path.startswith(folder)}
    oid = repository.commit(revision, files)
    return {"success": True, "commitOid": oid, "commitUrl": f"{hub.url}/{id}/commit/{oid}"}


def download(hub: Hub, request: Handler, kind: str | None, id: str, revision: str, path: str):
    repository = hub.repository(request, kind, id, read=True)
    request.extra = {"X-Repo-Commit": repository.resolve(revision)}
    content = repository.files(revision).get(path)
    if content is None:
        raise Refusal(404, "EntryNotFound", "Entry not found", request.extra)
    request.extra["ETag"] = f'"{etag(path, content)}"'
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if asked:
        start, end = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        request.status = 206
        request.extra["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        return content[start : end + 1]
    return content


def etag(path: str, content: bytes) -> str:
    """Git's blob id for a regular file, SHA-256 for a large one: the client compares both."""
    if path.endswith(LFS_SUFFIXES):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()


def entry(path: str, content: bytes) -> dict:
    described = {"type": "file", "path": path, "size": len(content), "oid": etag(path, content)}
    if path.endswith(LFS_SUFFIXES):
        described["lfs"] = {"oid": etag(path, content), "size": len(content), "pointerSize": 134}
    return described


ID = r"([^/]+(?:/[^/]+)??)"
REPOSITORY = rf"/api/(models|datasets|spaces)/{ID}"
PAGE = rf"/(?:(datasets|spaces)/)?{ID}"
ROUTES = [
    ("GET", "/api/whoami-v2", whoami),
    ("POST", "/api/validate-yaml", validate_card),
    ("POST", "/api/repos/create", create_repository),
    ("GET", rf"{REPOSITORY}/auth-check(/write)?", authorisation),
    ("GET", rf"{REPOSITORY}/revision/([^/]+)", information),
    ("GET", rf"{REPOSITORY}/refs", references),
    ("GET", rf"{REPOSITORY}/tree/([^/]+)(?:/(.+))?", tree),
    ("POST", rf"{REPOSITORY}/branch/([^/]+)", create_branch),
    ("POST", rf"{REPOSITORY}/preupload/([^/]+)", announce_upload),
    ("POST", rf"{REPOSITORY}/commit/([^/]+)", commit),
    ("GET", REPOSITORY, information),
    ("POST", rf"{PAGE}\.git/info/lfs/objects/batch", announce_objects),
    ("PUT", "/storage/([0-9a-f]{64})", receive_object),
    ("GET", rf"{PAGE}/resolve/([^/]+)/(.+)", download),
]


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    hub: Hub

    def handle_error(self, *_) -> None:
        """Clients that hang up are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    """One request, over a connection of its own (HTTP/1.0), so that `down` leaves none open."""

    def answer(self) -> None:
        hub: Hub = self.server.hub
        hub.requests.append((self.command, self.path))
        if hub.must_fail(self.path):
            self.rfile.read(min(int(self.headers.get("Content-Length", 0)) // 2, 2**16))
            return  # closing with unread data resets the connection
        self.body = self.read_body()
        hub.answering.wait()
        self.status, self.extra = 200, {}
        try:
            with hub.lock:
                content = self.dispatch(hub)
        except Refusal as refusal:
            content, self.status, self.extra = refusal.body, refusal.status, refusal.headers
        binary = isinstance(content, bytes)
        content = content if binary else json.dumps(content).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", f"application/{'octet-stream' if binary else 'json'}")
        self.send_header("Content-Length", str(len(content)))
        for name, value in self.extra.items():
            self.send_header(name, quote(value, safe=" !\"'(),-./:;=@_"))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def dispatch(self, hub: Hub):
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.role = hub.tokens.get(token)
        if token and self.role is None:
            raise Refusal(401, None, "Invalid credentials in Authorization header")
        address = urlsplit(self.path)
        self.query = parse_qs(address.query)
        for method, pattern, endpoint in ROUTES:
            match = re.fullmatch(pattern, address.path)
            if match and method == self.command.replace("HEAD", "GET"):
                return endpoint(hub, self, *(part and unquote(part) for part in match.groups()))
        raise Refusal(404, None, f"The stand-in does not serve {self.command} {address.path}")

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        return body

    def json(self):
        return json.loads(self.body or b"null")

    def log_message(self, *_) -> None:
        """The log is `Hub.requests`."""
