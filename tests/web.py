"""A web server on this machine that misbehaves as told."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What is served, and what was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)  # path -> content
    stop_after: list[int] = field(
        default_factory=list
    )  # bytes after which each next answer breaks off
    untold: bool = False  # no Content-Length
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # path, Range
    url: str = ""
    commits: dict[str, str] = field(default_factory=dict)  # what a revision of a repository is

    def repository(self, name: str, revision: str, files: dict[str, bytes]) -> None:
        """Serve files as the Hugging Face hub does; those that end in .bin are large ones.

        Earlier commits stay there, as they do on the hub.
        """
        rows = []
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.commits[name] = commit
        about = json.dumps({"id": name, "sha": commit}).encode()
        self.files[f"/api/models/{name}/revision/{revision}"] = about
        for path, content in files.items():
            git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            row: dict[str, object] = {
                "type": "file",
                "path": path,
                "size": len(content),
                "oid": git,
            }
            if path.endswith(".bin"):
                row["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}
            rows.append(row)
            self.files[f"/{name}/resolve/{commit}/{path}"] = content
        rows.append({"type": "directory", "path": "language_model", "size": 0, "oid": "0"})
        self.files[f"/api/models/{name}/tree/{commit}"] = json.dumps(rows).encode()


@contextmanager
def serve() -> Iterator[Site]:
    """Run a site on a free port."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.asked.append((self.path, self.headers.get("Range")))
            content = site.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            tag = f'"{hashlib.md5(content).hexdigest()}"'
            start = 0
            if self.headers.get("If-Range") == tag:
                start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if start and start >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("ETag", tag)
            if not site.untold:
                self.send_header("Content-Length", str(len(content) - start))
            self.send_header("Connection", "close")
            self.end_headers()
            end = start + site.stop_after.pop(0) if site.stop_after else len(content)
            self.wfile.write(content[start:end])
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
