"""Manifests of every kind that carries a pod, as text."""

from __future__ import annotations

POD_SPEC = """\
containers:
  - name: server
    image: model:1  # pinned by the release job
    ports:
      - name: grpc
        containerPort: 9000
"""
LABEL = 'shadow-sidecar/inject: "true"'
SHADOW = "shadow-sidecar/shadow: candidate=candidate:9000"


def indented(text: str, spaces: int) -> str:
    """The text, moved to the right."""
    return "".join(f"{' ' * spaces}{line}" for line in text.splitlines(keepends=True))


def workload(kind: str, api: str, path: tuple[str, ...]) -> str:
    """A manifest whose pod template stands at `path`."""
    lines = [f"apiVersion: {api}", f"kind: {kind}", "metadata:", "  name: digits"]
    extra = {
        "Deployment": ["  selector: {matchLabels: {app: digits}}"],
        "DaemonSet": ["  selector: {matchLabels: {app: digits}}"],
        "ReplicaSet": ["  selector: {matchLabels: {app: digits}}"],
        "StatefulSet": ["  selector: {matchLabels: {app: digits}}", "  serviceName: digits"],
        "CronJob": ['  schedule: "0 3 * * *"'],
    }
    depth = 0
    for part in path:
        lines.append(f"{'  ' * depth}{part}:")
        if part == "spec" and depth == 0:
            lines += extra.get(kind, [])
        depth += 1
    restart = "restartPolicy: Never\n" if "Job" in kind else ""
    template = (
        f"metadata:\n  labels:\n    app: digits\n    {LABEL}\n  annotations:\n    {SHADOW}\n"
        f"spec:\n{indented(restart + POD_SPEC, 2)}"
    )
    if not path:
        template = template.removeprefix("metadata:\n")
    return "\n".join(lines) + "\n" + indented(template, 2 * depth)


TEMPLATED = {
    "Deployment": workload("Deployment", "apps/v1", ("spec", "template")),
    "StatefulSet": workload("StatefulSet", "apps/v1", ("spec", "template")),
    "DaemonSet": workload("DaemonSet", "apps/v1", ("spec", "template")),
    "ReplicaSet": workload("ReplicaSet", "apps/v1", ("spec", "template")),
    "Job": workload("Job", "batch/v1", ("spec", "template")),
    "CronJob": workload("CronJob", "batch/v1", ("spec", "jobTemplate", "spec", "template")),
    "Pod": workload("Pod", "v1", ()),
}

KSERVE = f"""\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: digits
  labels:
    {LABEL}
  annotations:
    {SHADOW}
spec:
  predictor:
    minReplicas: 1
    model:
      modelFormat: {{name: sklearn}}
      protocolVersion: v2
      storageUri: s3://models/digits  # the nightly one
      ports:
        - name: h2c
          containerPort: 8033
          protocol: TCP
"""

SELDON = f"""\
apiVersion: mlops.seldon.io/v1alpha1
kind: Server
metadata:
  name: mlserver-digits
  labels:
    {LABEL}
  annotations:
    {SHADOW}
    shadow-sidecar/intercept: redirect
    shadow-sidecar/upstream-port: "9500"
spec:
  serverConfig: mlserver
  replicas: 2
"""
