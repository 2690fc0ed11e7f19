"""The API server, asked with the pod's own account. Counterparts: `cluster`; `kube`."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SECONDS = 10.0


class ApiServerError(Exception):
    """It did not answer as it should; the text says why. `status` is 0 where there was none."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class ApiServer:
    """Finds it as every client in a pod does; the token is read anew each time: it is renewed."""

    def __init__(self, url: str = "", account: Path = ACCOUNT, seconds: float = SECONDS) -> None:
        """Find it.

        Args:
            url: of the API server; empty: of the environment.
            account: the directory of the service account's token and certificate.
            seconds: for one answer.

        Raises:
            ApiServerError: we are in no pod, or the pod has no token.
        """
        host, port = (os.environ.get(f"KUBERNETES_SERVICE_{what}", "") for what in ("HOST", "PORT"))
        if not url and not host:
            raise ApiServerError("not in a cluster: KUBERNETES_SERVICE_HOST is not set")
        name = f"[{host}]" if ":" in host else host
        self._url = url or f"https://{name}:{port or 443}"
        self._account, self._seconds = account, seconds
        try:
            self._token()
        except OSError as error:
            raise ApiServerError(
                f"{error.filename}: {error.strerror}: the pod needs its account's token "
                "(automountServiceAccountToken: true)"
            ) from None

    def namespace(self) -> str:
        """This pod's own.

        Raises:
            ApiServerError: the account's directory does not say.
        """
        try:
            return (self._account / "namespace").read_text().strip()
        except OSError as error:
            raise ApiServerError(f"{error.filename}: {error.strerror}") from None

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """One object or list.

        Raises:
            ApiServerError: no answer, or none with status 200.
        """
        return await self._ask("GET", path, query, None)

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Create an object.

        Raises:
            ApiServerError: it was not created.
        """
        return await self._ask("POST", path, None, body)

    async def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
    ) -> Any:
        try:
            headers = {"Authorization": f"Bearer {self._token()}", "Accept": "application/json"}
            timeout = aiohttp.ClientTimeout(total=self._seconds)
            async with (
                aiohttp.ClientSession(headers=headers, timeout=timeout) as session,
                session.request(
                    method, self._url + path, params=query, json=body, ssl=self._tls()
                ) as answer,
            ):
                if answer.status not in {200, 201}:
                    raise ApiServerError(f"HTTP status {answer.status}", answer.status)
                return await answer.json()
        except TimeoutError:
            raise ApiServerError("no answer in time") from None
        except (OSError, ValueError, aiohttp.ClientError) as error:
            raise ApiServerError(f"{type(error).__name__}: {error}") from None

    def _token(self) -> str:
        return (self._account / "token").read_text().strip()

    def _tls(self) -> ssl.SSLContext | bool:
        if not self._url.startswith("https"):
            return False
        return ssl.create_default_context(cafile=str(self._account / "ca.crt"))
