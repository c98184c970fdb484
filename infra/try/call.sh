#!/usr/bin/env bash
# Call Azure OpenAI through the gateway: ./call.sh [--stream] [--completions] [text]
#   GATEWAY_URL   such as https://apim-xyz.azure-api.net
#   DEPLOYMENT    name of a deployment
#   API_KEY       a subscription key; without it an Entra token of whoever is signed in to az is sent
#   AUDIENCE      what that token is for (default api://azure-openai-gateway)
#   CONSUMER      optional: sent as x-chargeback-consumer, shown on the bill as the tag `consumer`
set -euo pipefail

stream=false operation=chat/completions text="Say hello in one word."
for argument in "$@"; do
  case "$argument" in
    --stream) stream=true ;;
    --completions) operation=completions ;;
    *) text="$argument" ;;
  esac
done
quoted=$(printf '%s' "$text" | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g')
if [ "$operation" = completions ]; then
  body="{\"prompt\":\"$quoted\",\"max_tokens\":50,\"stream\":$stream}"
else
  body="{\"messages\":[{\"role\":\"user\",\"content\":\"$quoted\"}],\"stream\":$stream}"
fi
if [ -n "${API_KEY:-}" ]; then
  proof="api-key: $API_KEY"
else
  token=$(az account get-access-token --resource "${AUDIENCE:-api://azure-openai-gateway}" --query accessToken --output tsv)
  proof="Authorization: Bearer $token"
fi
# The proof goes in by a file descriptor: an argument would show in the list of processes.
curl --silent --show-error --no-buffer --fail-with-body \
  --header @<(printf '%s\n' "$proof" ${CONSUMER:+"x-chargeback-consumer: $CONSUMER"}) \
  --header 'Content-Type: application/json' --data "$body" \
  "$GATEWAY_URL/openai/deployments/$DEPLOYMENT/$operation?api-version=${API_VERSION:-2024-10-21}"
echo
