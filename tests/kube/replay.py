"""A rollout's calls, asked of a collector that runs somewhere, as the controllers would ask them.

    python -m tests.kube.replay {argo,flagger} HOST:PORT [--as canary=candidate] [--most 60]

The manifests of `k8s/rollouts` say what is asked; a shadow that has another name there than here is
given with `--as`. The controllers' waiting is kept (10 s after an error, intervals as written), but
for `--speed`. Exit code 0: promoted; 1: rolled back or aborted; 3: waiting or paused.
"""

from __future__ import annotations

import argparse
import time
import urllib.parse
from collections.abc import Callable

import yaml

from tests.kube.argo import Rollout, seconds
from tests.kube.flagger import OPEN, Canary
from tests.kube.manifests_in import K8S

CODES = {"Healthy": 0, "Succeeded": 0, "Degraded": 1, "Failed": 1}


def elsewhere(address: str, names: dict[str, str]) -> Callable[[str], str]:
    """The manifests' URLs at another address, about shadows that have other names."""

    def moved(url: str) -> str:
        parts = urllib.parse.urlsplit(url)
        assert (parts.hostname or "").endswith("-verdict.models"), url
        assert parts.port == 9097, url
        query = dict(urllib.parse.parse_qsl(parts.query))
        query["shadow"] = names.get(query["shadow"], query["shadow"])
        return f"http://{address}{parts.path}?{urllib.parse.urlencode(query)}"

    return moved


def rollout(address: Callable[[str], str]) -> Rollout:
    """The Rollout of `k8s/rollouts/argo`."""
    folder = K8S / "rollouts" / "argo"
    documents = yaml.safe_load_all((folder / "analysis.yaml").read_text())
    templates = {document["metadata"]["name"]: document["spec"] for document in documents}
    spec = yaml.safe_load((folder / "rollout.yaml").read_text())["spec"]
    return Rollout(spec, templates, address)


def canary(address: Callable[[str], str]) -> Canary:
    """The Canary of `k8s/rollouts/flagger`."""
    documents = yaml.safe_load_all((K8S / "rollouts" / "flagger" / "canary.yaml").read_text())
    return Canary(next(d["spec"] for d in documents if d["kind"] == "Canary"), address)


def main() -> int:
    """Ask until it is over."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("controller", choices=("argo", "flagger"))
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("--as", dest="names", action="append", default=[], metavar="THERE=HERE")
    parser.add_argument("--most", type=int, default=60, help="looks")
    parser.add_argument("--speed", type=float, default=1.0, help="of the clock")
    given = parser.parse_args()
    moved = elsewhere(given.address, dict(name.split("=") for name in given.names))
    began, told = time.monotonic(), 0
    one: Rollout | Canary = rollout(moved) if given.controller == "argo" else canary(moved)
    for _ in range(given.most):
        now = (time.monotonic() - began) * given.speed
        if isinstance(one, Rollout):
            again = one.reconcile(now)
        else:
            one.advance()
            again = now + seconds(one.spec["analysis"]["interval"])
        for event in one.events[told:] or ([] if told else ["waiting"]):
            print(f"{now:8.1f} s  {one.phase:12} weight {one.weight:3}  {event}", flush=True)
        told = max(told, len(one.events))
        if one.phase not in OPEN:
            break
        time.sleep(max(0.0, again - (time.monotonic() - began) * given.speed) / given.speed)
    print(f"{one.phase}, weight {one.weight}")
    return CODES.get(one.phase, 3)


if __name__ == "__main__":
    raise SystemExit(main())
