"""A stand-in of Hugging Face's Hub: an HTTP server that answers what huggingface_hub asks, and keeps repositories."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

from sam_mprompt.recipe.licences import LICENCES

TOKEN, READ_ONLY = "hf_of_the_owner", "hf_of_a_reader"
"""Who may write; and who may read everything but write nothing."""


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """An HTTP status other than success, with the Hub's code of the error."""

    def __init__(self, status: int, code: str = "", body: object = None) -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code, self.body = status, code, body if body is not None else {"error": code or str(status)}


@dataclass
class Repo:
    """A repository: its commits' files by commit, and which commit each branch is."""

    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        content = json.dumps([len(self.commits), sorted((name, _sha(data)) for name, data in files.items())])
        sha = hashlib.sha1(content.encode()).hexdigest()
        self.commits[sha] = files
        self.branches[branch] = sha
        return sha

    def resolved(self, revision: str) -> str:
        sha = self.branches.get(revision, revision)
        if sha not in self.commits:
            raise Refused(404, "RevisionNotFound")
        return sha


@dataclass
class Hub:
    """What the stand-in holds and was asked.

    Attributes:
        repos: by "OWNER/NAME".
        asked: method and path of every request, in order.
        claims: sizes that it claims of files, where they are not the true ones.
        down: answers everything with 503.
        gated: repositories whose terms nobody accepted.
    """

    repos: dict[str, Repo] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    claims: dict[str, int] = field(default_factory=dict)
    down: bool = False
    gated: set[str] = field(default_factory=set)
    url: str = ""
    _large: dict[str, bytes] = field(default_factory=dict)

    def holding(self, name: str, files: dict[str, bytes], *, private: bool = False) -> str:
        """Put files into a repository as a commit on its main branch, and return the commit."""
        return self.repos.setdefault(name, Repo(private)).commit(files)

    # Reading

    def repo(self, name: str, token: str | None) -> Repo:
        found = self.repos.get(name)
        if found is None or (found.private and token not in (TOKEN, READ_ONLY)):
            raise Refused(404 if token else 401, "RepoNotFound")
        if name in self.gated:
            raise Refused(403, "GatedRepo")
        return found

    def info(self, name: str, revision: str, token: str | None) -> dict[str, Any]:
        repo = self.repo(name, token)
        sha = repo.resolved(revision)
        siblings = []
        for entry in self.tree(name, sha, token):
            lfs = entry.pop("lfs", None)  # which this answer calls otherwise than the tree
            own = {"rfilename": entry["path"], "size": entry["size"], "blobId": entry["oid"]}
            siblings.append(own | ({"lfs": {**lfs, "sha256": lfs["oid"]}} if lfs else {}))
        return {"id": name, "modelId": name, "sha": sha, "private": repo.private, "siblings": siblings, "tags": []}

    def tree(self, name: str, revision: str, token: str | None) -> list[dict[str, Any]]:
        repo = self.repo(name, token)
        return [
            {"type": "file", "path": path, "size": self.claims.get(path, len(data)), "oid": _blob(data)}
            | ({"lfs": {"oid": _sha(data), "size": len(data), "pointerSize": 130}} if _is_large(path) else {})
            for path, data in repo.commits[repo.resolved(revision)].items()
        ]

    def file(self, name: str, revision: str, path: str, token: str | None) -> tuple[dict[str, str], bytes]:
        repo = self.repo(name, token)
        sha = repo.resolved(revision)
        if path not in repo.commits[sha]:
            raise Refused(404, "EntryNotFound")
        data = repo.commits[sha][path]
        return {"X-Repo-Commit": sha, "ETag": f'"{_sha(data) if _is_large(path) else _blob(data)}"'}, data

    # Writing

    def create(self, asked: dict[str, Any], token: str | None) -> dict[str, Any]:
        _expect_writer(token)
        name = f"{asked['organization']}/{asked['name']}"
        url = f"{self.url}/{name}"
        if name in self.repos:
            raise Refused(409, body={"error": "You already created this model repo", "url": url})
        private = asked.get("private", asked.get("visibility") == "private")
        self.repos[name] = Repo(private)
        self.repos[name].commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        return {"url": url}

    def validated(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Refuse a card whose front matter is none, as the Hub does: its licence, its kinds of values."""
        front = re.match(r"---\n(.*?)\n---\n", asked["content"], re.DOTALL)
        values = yaml.safe_load(front[1]) if front else None
        if not isinstance(values, dict):
            raise Refused(400, body={"errors": [{"message": "no metadata"}], "warnings": []})
        faults = [f"license {values['license']}" for _ in [0] if values.get("license", "other") not in LICENCES]
        faults += [key for key in ("tags", "datasets") if not isinstance(values.get(key, []), list)]
        if faults:
            raise Refused(400, body={"errors": [{"message": fault} for fault in faults], "warnings": []})
        return {"errors": [], "warnings": []}

    def preuploaded(self, asked: dict[str, Any], token: str | None) -> dict[str, Any]:
        _expect_writer(token)
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if _is_large(file["path"]) else "regular",
                "shouldIgnore": False,
                "oid": None,
            }
            for file in asked["files"]
        ]
        return {"files": files}

    def batch(self, asked: dict[str, Any], token: str | None) -> dict[str, Any]:
        _expect_writer(token)
        objects = [
            {"oid": one["oid"], "size": one["size"], "actions": {"upload": {"href": f"{self.url}/lfs/{one['oid']}"}}}
            for one in asked["objects"]
        ]
        return {"transfer": "basic", "objects": objects}

    def uploaded(self, oid: str, data: bytes) -> None:
        if _sha(data) != oid:
            raise Refused(400)
        self._large[oid] = data

    def branched(self, name: str, branch: str, token: str | None) -> None:
        _expect_writer(token)
        repo = self.repo(name, token)
        if branch in repo.branches:
            raise Refused(409)
        repo.branches[branch] = repo.branches["main"]

    def committed(self, name: str, branch: str, lines: list[dict[str, Any]], token: str | None) -> dict[str, Any]:
        _expect_writer(token)
        repo = self.repo(name, token)
        files = dict(repo.commits[repo.resolved(branch)])
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                if value.get("parentCommit") not in (None, repo.branches[branch]):
                    raise Refused(412)
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self._large[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        sha = repo.commit(files, branch)
        return {"success": True, "commitOid": sha, "commitUrl": f"{self.url}/{name}/commit/{sha}"}


@contextmanager
def serving() -> Iterator[Hub]:
    """Serve a hub on a free port of this machine."""
    hub = Hub()

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=lambda: server.serve_forever(0.02), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


_REPO = r"(?P<name>[^/]+/[^/]+?)"


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815 - as http.server calls them

    def _answer(self) -> None:
        path = urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.asked.append(f"{self.command} {unquote(path)}")
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        try:
            if self.hub.down:
                raise Refused(503)
            headers, content = self._found(path, body, token)
            self._send(200, headers, content)
        except Refused as error:
            headers = {"X-Error-Code": error.code} if error.code else {}
            self._send(error.status, headers, json.dumps(error.body).encode())

    def _found(self, path: str, body: bytes, token: str | None) -> tuple[dict[str, str], bytes]:
        hub, method = self.hub, "GET" if self.command == "HEAD" else self.command

        def matched(kind: str, pattern: str) -> dict[str, str] | None:
            found = re.fullmatch(pattern, path) if method == kind else None
            return (
                None if found is None else {key: unquote(value or "main") for key, value in found.groupdict().items()}
            )

        answer: object = None
        if parts := matched("GET", rf"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)"):
            return hub.file(**parts, token=token)
        if parts := matched("PUT", "/lfs/(?P<oid>[0-9a-f]+)"):
            answer = hub.uploaded(parts["oid"], body)
        elif parts := matched("GET", rf"/api/models/{_REPO}(/revision/(?P<revision>[^/]+))?"):
            answer = hub.info(**parts, token=token)
        elif parts := matched("GET", rf"/api/models/{_REPO}/tree/(?P<revision>[^/]+)"):
            answer = hub.tree(**parts, token=token)
        elif matched("POST", "/api/repos/create") is not None:
            answer = hub.create(json.loads(body), token)
        elif matched("POST", "/api/validate-yaml") is not None:
            answer = hub.validated(json.loads(body))
        elif parts := matched("POST", rf"/api/models/{_REPO}/preupload/(?P<revision>[^/]+)"):
            answer = hub.preuploaded(json.loads(body), token)
        elif matched("POST", rf"/{_REPO}\.git/info/lfs/objects/batch") is not None:
            answer = hub.batch(json.loads(body), token)
        elif parts := matched("POST", rf"/api/models/{_REPO}/branch/(?P<branch>[^/]+)"):
            answer = hub.branched(**parts, token=token)
        elif parts := matched("POST", rf"/api/models/{_REPO}/commit/(?P<branch>[^/]+)"):
            lines = [json.loads(line) for line in body.splitlines()]
            answer = hub.committed(**parts, lines=lines, token=token)
        else:
            raise Refused(404)
        return {"Content-Type": "application/json"}, json.dumps(answer).encode()

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _expect_writer(token: str | None) -> None:
    if token != TOKEN:
        raise Refused(403 if token == READ_ONLY else 401)


def _is_large(path: str) -> bool:
    return path.endswith(".safetensors")


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
