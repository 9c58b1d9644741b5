# A run, served without TensorFlow: docker build -t foldernet-serve .
# docs/serving.md says how to start it, and how closely it can be shut in.
FROM python:3.13-slim
COPY requirements-serve.txt /app/
RUN pip install --no-cache-dir -r /app/requirements-serve.txt
COPY serve.py /app/
COPY foldernet /app/foldernet
# With fewer arenas, the C library keeps less of what images took.
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 MALLOC_ARENA_MAX=2
WORKDIR /srv
USER 65534:65534
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health')"]
# Runs are looked for in /srv/models. Within a container any address is needed; what may reach it
# is decided by docker run --publish.
ENTRYPOINT ["python", "/app/serve.py", "--host", "0.0.0.0"]
