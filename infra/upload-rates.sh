#!/bin/sh
# Put the rate table where the worker reads it: rates/rates.yaml in the storage. Yours: RATES=path/to/table.yaml
set -eu
RATES="${RATES:-rates/rates.yaml}"
if [ ! -f "$RATES" ]; then
  echo "No rate table at $RATES: the worker waits until rates/rates.yaml is in the storage (docs/rate-table.md)."
  exit 0
fi
az storage blob upload --auth-mode login --overwrite --only-show-errors \
  --blob-endpoint "$AZURE_STORAGE_BLOB_ENDPOINT" --container-name rates --name rates.yaml --file "$RATES" >/dev/null
echo "Uploaded $RATES. The worker takes it up within a minute."
