# Put the rate table where the worker reads it: rates/rates.yaml in the storage. Yours: $env:RATES = 'table.yaml'
$ErrorActionPreference = 'Stop'
$rates = if ($env:RATES) { $env:RATES } else { 'rates/rates.yaml' }
if (-not (Test-Path $rates)) {
    Write-Host "No rate table at ${rates}: the worker waits until rates/rates.yaml is in the storage (docs/rate-table.md)."
    exit 0
}
az storage blob upload --auth-mode login --overwrite --only-show-errors `
    --blob-endpoint $env:AZURE_STORAGE_BLOB_ENDPOINT --container-name rates --name rates.yaml --file $rates | Out-Null
if ($LASTEXITCODE -ne 0) { throw "The rate table could not be uploaded: you need the role Storage Blob Data Contributor." }
Write-Host "Uploaded $rates. The worker takes it up within a minute."
