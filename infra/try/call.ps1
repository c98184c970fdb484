# Call Azure OpenAI through the gateway: ./call.ps1 [-Stream] [-Completions] [-Text 'Say hello']
# Reads GATEWAY_URL, DEPLOYMENT, and API_KEY, or without a key AUDIENCE, from the environment; see call.sh.
param([switch] $Stream, [switch] $Completions, [string] $Text = 'Say hello in one word.')
$ErrorActionPreference = 'Stop'

$headers = @{}
if ($env:API_KEY) {
    $headers['api-key'] = $env:API_KEY
}
else {
    $audience = if ($env:AUDIENCE) { $env:AUDIENCE } else { 'api://azure-openai-gateway' }
    $token = az account get-access-token --resource $audience --query accessToken --output tsv
    $headers['Authorization'] = "Bearer $token"
}
if ($env:CONSUMER) { $headers['x-chargeback-consumer'] = $env:CONSUMER }

$operation = if ($Completions) { 'completions' } else { 'chat/completions' }
$body = if ($Completions) { @{ prompt = $Text; max_tokens = 50; stream = [bool] $Stream } }
else { @{ messages = @(@{ role = 'user'; content = $Text }); stream = [bool] $Stream } }
$version = if ($env:API_VERSION) { $env:API_VERSION } else { '2024-10-21' }
$uri = "$env:GATEWAY_URL/openai/deployments/$env:DEPLOYMENT/${operation}?api-version=$version"
$json = $body | ConvertTo-Json -Depth 5 -Compress

if (-not $Stream) {
    (Invoke-WebRequest -Method Post -Uri $uri -Headers $headers -ContentType 'application/json' -Body $json).Content
    return
}
# Invoke-WebRequest waits for the whole answer; HttpClient hands on what has come.
$client = [System.Net.Http.HttpClient]::new()
$request = [System.Net.Http.HttpRequestMessage]::new('Post', $uri)
$request.Content = [System.Net.Http.StringContent]::new($json, [System.Text.Encoding]::UTF8, 'application/json')
foreach ($name in $headers.Keys) { $request.Headers.TryAddWithoutValidation($name, $headers[$name]) | Out-Null }
$answer = $client.SendAsync($request, 'ResponseHeadersRead').GetAwaiter().GetResult()
$reader = [System.IO.StreamReader]::new($answer.Content.ReadAsStreamAsync().GetAwaiter().GetResult())
while ($null -ne ($line = $reader.ReadLine())) { $line }
