# The server as one image, all of it in one process (visitserver serve); nothing of the tests.
# The base is plain Debian, so that every RUN can be executed in a debootstrap root: scripts/check-dockerfile,
# docs/decisions/0003. Where it says python3.11 it means Debian's.

FROM debian:bookworm-slim AS build
ENV DEBIAN_FRONTEND=noninteractive \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        ca-certificates gcc libc6-dev python3.11 python3.11-dev python3.11-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY requirements/build.lock requirements/
RUN python3.11 -m venv /opt/visitserver \
    && /opt/visitserver/bin/pip install --quiet --no-deps --require-hashes --requirement requirements/build.lock
COPY requirements.lock .
RUN /opt/visitserver/bin/pip install --quiet --no-deps --require-hashes --no-build-isolation --use-pep517 \
        --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY visitserver visitserver
COPY signaling signaling
COPY recorder recorder
COPY web web
COPY configs configs
# editable: the package stays in /app beside web/ and configs/, which are data and no Python package
RUN /opt/visitserver/bin/pip install --quiet --no-deps --no-index --no-build-isolation --editable . \
    && find web -name '*.po' -exec sh -c \
        'for po; do /opt/visitserver/bin/pybabel --quiet compile -i "$po" -o "${po%.po}.mo"; done' sh {} + \
    && /opt/visitserver/bin/python -m compileall -q visitserver signaling recorder

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="visitserver" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        ca-certificates libgl1 libglib2.0-0 python3.11 tini tzdata \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 visitserver \
    && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/visitserver --create-home visitserver
COPY --from=build /opt/visitserver /opt/visitserver
COPY --from=build /app /app

ENV PATH=/opt/visitserver/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    VISITSERVER_SERVER__HOST=0.0.0.0
WORKDIR /var/lib/visitserver
USER visitserver
RUN python -c "import aiohttp, aiortc, av, cv2, dlib, onnxruntime, rapidocr_onnxruntime, sqlalchemy, visitserver" \
    && python -c "import recorder._tape, signaling.media._native"
VOLUME /var/lib/visitserver
EXPOSE 8080/tcp 8189/udp
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["/usr/bin/tini", "--", "visitserver"]
CMD ["serve", "--make-keys"]
