# Two stages: pip and its leftovers stay in the first one.
FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
WORKDIR /src
COPY requirements.txt constraints.txt ./
RUN /venv/bin/pip install -r requirements.txt

FROM python:3.13-slim
ENV PATH=/venv/bin:$PATH \
    PYTHONUTF8=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    FLASK_SKIP_DOTENV=1 \
    FIKSTUR_ENV=production \
    HOST=0.0.0.0 \
    PORT=8000 \
    DATA_DIR=/data
# A fixed number, so that volumes keep their owner when the image is built anew.
RUN groupadd --gid 10001 fikstur \
    && useradd --uid 10001 --gid fikstur --no-create-home --home-dir /data --shell /usr/sbin/nologin fikstur \
    && install --directory --owner fikstur --group fikstur /data
COPY --from=build /venv /venv
WORKDIR /srv/fikstur
COPY . .
RUN python -m compileall -q app config.py tasks.py wsgi.py
USER 10001:10001
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=4 \
    CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', timeout=4)"]
CMD ["flask", "--app", "wsgi", "web"]
