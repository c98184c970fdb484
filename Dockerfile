# The standalone consumer: `docker build -t chargeback .`, then run it with the settings of docs/operations-consumer.md.
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE requirements-dev.txt ./
COPY chargeback ./chargeback
# The lock only constrains versions here: what the image needs is the package with two extras, not the tools.
RUN sed -E 's/ *\\$//; /^ *--hash/d; s/ +#.*//' requirements-dev.txt > /constraints.txt \
 && python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --constraint /constraints.txt ".[cli,consumer]"

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home chargeback
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 CHARGEBACK_HEALTH=0.0.0.0:8080
USER 10001
EXPOSE 8080
# SIGTERM finishes the batches under way: give it terminationGracePeriodSeconds, or --stop-timeout, of 60.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-c", \
  "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/', timeout=4)"]
ENTRYPOINT ["chargeback"]
CMD ["consume"]
