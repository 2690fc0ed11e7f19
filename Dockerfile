# One image for every role: wire, observer (under its guard), redirect, webhook. The model servers
# of the example need scikit-learn, which the sidecar does not: they are the stage `demo`. What
# captures calls or asks them again needs pyarrow, 100 MB more: that is the stage `capture`.
#
#   docker build -t shadow-sidecar:0.1.0 .
#   docker build -t shadow-sidecar-demo:0.1.0 --target demo .
#   docker build -t shadow-sidecar-capture:0.1.0 --target capture .
#
# The base is named by its digest; `docker buildx imagetools inspect debian:bookworm-slim` tells the
# newest, and --build-arg BASE=... takes another.
#
# Python packages are those of requirements.lock, by hash (`make lock` renews it). What is in the image
# is told by itself, as CycloneDX: docker run --rm --entrypoint cat IMAGE /opt/shadow-sidecar/sbom.json
ARG BASE=debian:bookworm-slim@sha256:96e378d7e6531ac9a15ad505478fcc2e69f371b10f5cdf87857c4b8188404716

# hadolint ignore=DL3006
FROM ${BASE} AS python
# Debian replaces a version when it mends it: a pinned one would one day not be there.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 iptables \
 && rm -rf /var/lib/apt/lists/*
ENV PATH=/opt/shadow-sidecar/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

FROM python AS build
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev python3-dev python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv /opt/shadow-sidecar
WORKDIR /src
COPY requirements.lock ./
RUN pip install --no-cache-dir --no-compile --require-hashes -r requirements.lock
COPY pyproject.toml setup.py README.md LICENSE ./
COPY sidecar ./sidecar
# The hot path becomes machine code, and the rest bytecode, here, because the root file system is
# read-only where it runs.
RUN SHADOW_SIDECAR_COMPILED=1 pip install --no-cache-dir --no-compile --no-deps \
    --no-build-isolation . \
 && pip uninstall -q -y ast-serialize librt mypy mypy-extensions pathspec wheel \
 && find /opt/shadow-sidecar -type d -name tests -prune -exec rm -r {} + \
 && python -m compileall -q -j 0 /opt/shadow-sidecar/lib

FROM build AS build-demo
# What is installed is this directory; its own metadata bounds the versions.
# hadolint ignore=DL3013
RUN pip install --no-cache-dir --no-compile '.[demo]' \
 && python -m compileall -q -j 0 /opt/shadow-sidecar/lib

FROM python AS demo
COPY --from=build-demo /opt/shadow-sidecar /opt/shadow-sidecar
USER 10095:10095
ENTRYPOINT ["python", "-m", "sidecar.demo.server"]
CMD ["--model", "production", "--listen", "0.0.0.0:9000"]

# With what reads and writes Parquet: for pods that capture, and for replays.
FROM build AS build-capture
# hadolint ignore=DL3013
RUN pip install --no-cache-dir --no-compile 'shadow-sidecar[capture]' \
 && python -m compileall -q -j 0 /opt/shadow-sidecar/lib \
 && pip uninstall -q -y pip setuptools

FROM python AS capture
COPY --from=build-capture /opt/shadow-sidecar /opt/shadow-sidecar
USER 10095:10095
ENTRYPOINT ["shadow-sidecar"]
CMD ["--help"]

# What no role opens: type stubs, headers, sources of extensions, symbols.
FROM build AS trimmed
# hadolint ignore=DL3008
RUN pip uninstall -q -y pip setuptools \
 && apt-get update \
 && apt-get install -y --no-install-recommends binutils \
 && rm -rf /var/lib/apt/lists/*
COPY k8s/image ./image
RUN sh image/trim.sh /opt/shadow-sidecar && shadow-sidecar --version

# The bill of materials, by a tool that stays out of the image.
FROM build AS sbom
COPY --from=trimmed /opt/shadow-sidecar /opt/trimmed
RUN python3 -m venv /opt/tool \
 && /opt/tool/bin/pip install --no-cache-dir cyclonedx-bom==7.5.0 \
 && /opt/tool/bin/cyclonedx-py environment /opt/trimmed/bin/python --output-reproducible \
    --of JSON -o /sbom.json

# The system around it: an interpreter, the packet filter, three commands, and what those load.
FROM trimmed AS system
RUN sh image/system.sh /system

FROM scratch AS sidecar
COPY --from=system /system /
COPY --from=trimmed /opt/shadow-sidecar /opt/shadow-sidecar
COPY --from=sbom /sbom.json /opt/shadow-sidecar/sbom.json
ENV PATH=/opt/shadow-sidecar/bin:/usr/sbin:/usr/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10095:10095
# No init process: each role's first process waits for its own children and takes SIGTERM itself.
ENTRYPOINT ["shadow-sidecar"]
CMD ["--help"]
