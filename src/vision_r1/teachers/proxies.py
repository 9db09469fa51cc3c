"""Which proxy of the environment stands between this machine and an endpoint."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from vision_r1.core.errors import InputError


def proxy_of(url: str) -> tuple[URL | None, aiohttp.BasicAuth | None]:
    """The proxy for an endpoint's address and what it is to be told of us; (None, None) without one.

    As `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` say it, in either case. A server on this
    machine is always reached directly.

    Raises:
        InputError: the proxy is none that can be used; what stands there is not shown, it may hold a
            password.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if _is_here(host) or proxy_bypass(host if parts.port is None else f"{host}:{parts.port}"):
        return None, None
    proxies = getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found:
        return None, None
    try:
        proxy = URL(found if "://" in found else f"http://{found}")
        usable = proxy.scheme in ("http", "https") and bool(proxy.host)
    except ValueError:
        usable = False
    if not usable:
        fix = f"set {parts.scheme}_proxy to http://HOST:PORT, or name {host} in no_proxy"
        raise InputError("the proxy of the environment is no http proxy", where=url, fix=fix)
    return proxy.with_user(None), aiohttp.BasicAuth.from_url(proxy)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
