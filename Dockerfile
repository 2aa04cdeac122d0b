# BleepStore with all its storage back ends. `docker build -t bleepstore .`
#
#   docker run -p 9000:9000 -v bleepstore:/data -e BLEEPSTORE_AUTH_ACCESS_KEY=admin -e BLEEPSTORE_AUTH_SECRET_KEY=… bleepstore

ARG PYTHON_IMAGE=python:3.12-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
ENV PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements-image.lock ./
RUN python -m venv --without-pip /opt/bleepstore \
 && python -m pip --python /opt/bleepstore/bin/python install --require-hashes --no-compile -r requirements-image.lock
COPY . .
RUN python -m pip --python /opt/bleepstore/bin/python install --no-deps --no-compile . \
 && rm -rf /opt/bleepstore/include
# What nothing here uses: descriptions of all of AWS but a few services, other ways to wait, symbols, sources, tests.
RUN apt-get update -q && apt-get install -q -y --no-install-recommends binutils \
 && cd /opt/bleepstore/lib/python3*/site-packages \
 && find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name sso ! -name sso-oidc ! -name signin -exec rm -rf {} + \
 && find apsw/sqlite_extra_binaries -type f ! -name 'cksumvfs.*' -delete \
 && rm -rf azure/storage/blob/aio azure/identity/aio google/cloud/_storage_v2 boto3/examples boto3/data zope/interface/tests \
 && find gevent greenlet zope apsw -type f \( -name '*.c' -o -name '*.cpp' -o -name '*.h' -o -name '*.pyx' -o -name '*.pxd' \) -delete \
 && rm -rf gevent/tests gevent/testing greenlet/tests \
 && find . -name '*.so*' -exec strip --strip-unneeded {} + \
 && /opt/bleepstore/bin/python -m compileall -q --invalidation-mode unchecked-hash . \
 && /opt/bleepstore/bin/python -c "import apsw, app.server.worker, app.storage.aws, app.storage.gcp, app.storage.azure"

FROM ${PYTHON_IMAGE}
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="BleepStore" \
      org.opencontainers.image.description="An S3-compatible object store that starts with one command and loses nothing" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/bleepstore /opt/bleepstore
# What entrypoints and health checks for MinIO's image call; last on the PATH.
COPY app/container /opt/bleepstore/container
# Any uid may write there: a volume that is made for it takes these permissions over.
RUN mkdir -m 0777 /data && ln -s /opt/bleepstore/container/minio /usr/bin/minio
ENV PATH=/opt/bleepstore/bin:$PATH:/opt/bleepstore/container \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    BLEEPSTORE_SERVER_HOST=0.0.0.0 BLEEPSTORE_DATA_DIR=/data
WORKDIR /data
VOLUME ["/data"]
EXPOSE 9000 9001
USER 10001:0
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["bleepstore", "healthcheck"]
ENTRYPOINT ["bleepstore"]
CMD ["serve"]
