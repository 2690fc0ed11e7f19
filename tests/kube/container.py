"""A pod on this machine: its containers as processes, made from the manifest and nothing else.

What Kubernetes and the container runtime would do is done here with the same means of the kernel:
one network for the pod, mounts and a read-only root for each container, its user, its memory limit.
Rule: command, arguments, environment, mounts, user and limits come from the pod's own text.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from sidecar.demo.process import Process
from sidecar.kube.options import quantity

NODE, POD = "10.255.78.1", "10.255.78.2"
# What the images would bring: `python` and `shadow-sidecar`, from this environment.
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
# Our Python may be installed where only root may look.
READING = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"]


class PodOnThisMachine:
    """A pod's network and volumes; `start` starts a container of it."""

    def __init__(
        self,
        pod: dict[str, Any],
        configs: dict[str, dict[str, str]],
        hosts: dict[str, str],
        directory: Path,
    ) -> None:
        """Describe it.

        Args:
            pod: `metadata` and `spec`.
            configs: the data of ConfigMaps by name.
            hosts: addresses by name, in place of the cluster's DNS.
            directory: where its volumes are kept.
        """
        self._pod = pod
        self._configs = configs
        self._hosts = hosts
        self._directory = directory
        self._stack = ExitStack()
        self._name = f"pod-{uuid.uuid4().hex[:8]}"

    def __enter__(self) -> Self:
        device = f"v{self._name[-8:]}"
        _run("ip", "netns", "add", self._name)
        self._stack.callback(_run, "ip", "netns", "del", self._name)
        for command in (
            f"ip link add {device} type veth peer name eth0 netns {self._name}",
            f"ip addr add {NODE}/30 dev {device}",
            f"ip link set {device} up",
            f"ip -n {self._name} link set lo up",
            f"ip -n {self._name} addr add {POD}/30 dev eth0",
            f"ip -n {self._name} link set eth0 up",
        ):
            _run(*command.split())
        for volume in self._pod["spec"]["volumes"]:
            self._fill(volume)
        hosts = ["127.0.0.1 localhost"] + [f"{ip} {name}" for name, ip in self._hosts.items()]
        (self._directory / "hosts").write_text("\n".join(hosts) + "\n")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, container: dict[str, Any], entrypoint: list[str] | None = None) -> Process:
        """Start a container; it is ended with the pod.

        `entrypoint` is the image's, for a container that names no command.
        """
        command = [*(container.get("command") or entrypoint or []), *container.get("args", ())]
        context = container["securityContext"]
        user = context["runAsUser"]
        mounts = [
            (self._directory / mount["name"], mount["mountPath"])
            for mount in container.get("volumeMounts", ())
        ]
        mounts.append((self._directory / "hosts", "/etc/hosts"))
        for _, point in mounts[:-1]:
            self._mount_point(Path(point))
        # First the group: `ip netns exec` brings a /sys of its own.
        limited = ["sh", "-ec", f'echo $$ > {self._limited(container)}; exec "$@"', "sh"]
        script = [f"mount --bind {source} {point}" for source, point in mounts]
        if context["readOnlyRootFilesystem"]:
            script += ["mount -o remount,ro,bind /"]
        script += ['exec "$@"']
        inside = [*limited, "ip", "netns", "exec", self._name, "sh", "-ec", "; ".join(script), "sh"]
        unprivileged = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        process = Process(
            [*inside, *unprivileged, "--no-new-privs", *READING, *command],
            name=container["name"],
            env={"PATH": PATH, **self._environment(container)},
        )
        return self._stack.enter_context(process)

    def _fill(self, volume: dict[str, Any]) -> None:
        directory = self._directory / volume["name"]
        directory.mkdir()
        if "emptyDir" in volume:
            directory.chmod(0o777)
        elif "configMap" in volume:
            for key, text in self._configs.get(volume["configMap"]["name"], {}).items():
                (directory / key).write_text(text)
        else:
            for item in volume["downwardAPI"]["items"]:
                text = self._field(item["fieldRef"]["fieldPath"])
                (directory / item["path"]).write_text(text)

    def _field(self, path: str) -> str:
        named = re.fullmatch(r"metadata\.(annotations|labels)\['(.*)'\]", path)
        if named:
            return str(self._pod["metadata"].get(named[1], {}).get(named[2], ""))
        known = {"metadata.name": self._name, "metadata.namespace": "models"}
        known |= {"status.podIP": "127.0.0.1", "status.podIPs": "127.0.0.1"}
        return {**known, "metadata.uid": self._name, "spec.nodeName": "node"}[path]

    def _environment(self, container: dict[str, Any]) -> dict[str, str]:
        made: dict[str, str] = {}
        for entry in container.get("env", ()):
            source = entry.get("valueFrom", {}).get("fieldRef")
            text = self._field(source["fieldPath"]) if source else entry["value"]
            made[entry["name"]] = re.sub(r"\$\((\w+)\)", lambda m: made[m[1]], text)
        return made

    def _mount_point(self, path: Path) -> None:
        if not path.exists():
            path.mkdir(parents=True)
            self._stack.callback(path.rmdir)

    def _limited(self, container: dict[str, Any]) -> Path:
        """The file that puts a process below the container's memory limit."""
        limit = str(int(quantity(container["resources"]["limits"]["memory"])))
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        own = {line.split(":", 2)[1]: line.split(":", 2)[2] for line in lines}
        first = Path("/sys/fs/cgroup/memory")
        if first.is_dir():
            group = Path(f"{first}{own['memory']}") / f"{self._name}-{uuid.uuid4().hex[:6]}"
            file = "memory.limit_in_bytes"
        else:
            group = Path("/sys/fs/cgroup") / f"{self._name}-{uuid.uuid4().hex[:6]}"
            (group.parent / "cgroup.subtree_control").write_text("+memory")
            file = "memory.max"
        group.mkdir()
        self._stack.callback(group.rmdir)
        (group / file).write_text(limit)
        return group / "cgroup.procs"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
