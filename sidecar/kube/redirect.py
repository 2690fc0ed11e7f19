"""The init container that sends a pod's inbound traffic to the wire, by the packet filter.

For pods whose port cannot change. Rule: running it twice leaves what running it once leaves, and
only two things reach the model's port directly: the sidecar's own user, and the probe port.

    from outside   PREROUTING  port UPSTREAM becomes LISTEN, port PROBE becomes UPSTREAM
    inside the pod OUTPUT, lo  the same, but not for the sidecar's user

Beside a mesh only the second rule is set (`--loopback-only`). Istio's and Linkerd's own filters
take what comes from outside, end the mutual TLS, and hand plain bytes to the pod's own address
over the loopback interface, where they find the second rule; their filters leave that traffic
alone, so the order of the two init containers does not matter. With the first rule set before
theirs, the sealed bytes would go to the wire.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

IN = "SHADOW_SIDECAR_IN"
OUT = "SHADOW_SIDECAR_OUT"
# auto: whichever of the two the node has. The other family's calls, if any, reach the model unseen.
TOOLS = {"ipv4": ["iptables"], "ipv6": ["ip6tables"], "auto": ["iptables", "ip6tables"]}


def rules(listen: int, upstream: int, probe: int, uid: int) -> str:
    """Both chains, in the language of `iptables-restore --noflush`, which empties them first."""
    to_model = f"-p tcp --dport {probe} -j REDIRECT --to-ports {upstream}"
    to_wire = f"-p tcp --dport {upstream} -j REDIRECT --to-ports {listen}"
    lines = [
        "*nat",
        f":{IN} - [0:0]",
        f":{OUT} - [0:0]",
        f"-A {IN} {to_model}",
        f"-A {IN} {to_wire}",
        f"-A {OUT} -m owner --uid-owner {uid} -j RETURN",
        f"-A {OUT} {to_model}",
        f"-A {OUT} {to_wire}",
        "COMMIT",
        "",
    ]
    return "\n".join(lines)


def jumps(loopback_only: bool) -> list[list[str]]:
    """The rules of the built-in chains that lead to ours."""
    out = ["OUTPUT", "-o", "lo", "-p", "tcp", "-j", OUT]
    return [out] if loopback_only else [["PREROUTING", "-p", "tcp", "-j", IN], out]


def main(argv: list[str]) -> int:
    """Set the rules; exit status 1, with the packet filter's own words, if it refuses."""
    parser = argparse.ArgumentParser(prog="python -m sidecar.kube.redirect")
    for name in ("listen", "upstream", "probe", "uid"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--family", choices=("auto", "ipv4", "ipv6"), default="ipv4")
    parser.add_argument("--loopback-only", action="store_true")
    args = parser.parse_args(argv)
    text = rules(args.listen, args.upstream, args.probe, args.uid)
    set_by = []
    for tool in TOOLS[args.family]:
        try:
            _set(tool, text, jumps(args.loopback_only))
            set_by.append(tool)
        except (subprocess.CalledProcessError, OSError) as error:
            print(f"the redirect could not be set: {error}", file=sys.stderr)
    return 0 if set_by else 1


def _set(tool: str, text: str, leading: list[list[str]]) -> None:
    _run([f"{tool}-restore", "--noflush"], text)
    for jump in leading:
        if _run([tool, "-t", "nat", "-C", *jump], check=False):
            _run([tool, "-t", "nat", "-A", *jump])


def _run(command: list[str], text: str = "", check: bool = True) -> int:
    errors = None if check else subprocess.DEVNULL  # -C complains about what is not there yet
    return subprocess.run(command, input=text, text=True, check=check, stderr=errors).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
