#!/bin/sh
# Makes the webhook's certificate and hands it to the cluster. The running webhook takes it over
# by itself. The old certificate stays trusted beside the new one until the next run.
set -eu
namespace=shadow-sidecar
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 \
    -subj "/CN=webhook.$namespace.svc" -addext "subjectAltName=DNS:webhook.$namespace.svc" \
    -keyout "$directory/tls.key" -out "$directory/tls.crt" 2>/dev/null
kubectl get namespace "$namespace" >/dev/null 2>&1 || kubectl create namespace "$namespace"
kubectl -n "$namespace" get secret webhook-certificate -o 'jsonpath={.data.tls\.crt}' 2>/dev/null |
    base64 -d >"$directory/old.crt" || : >"$directory/old.crt"
bundle=$(cat "$directory/tls.crt" "$directory/old.crt" | base64 | tr -d '\n')
# Trust first, then serve: no review is refused in between.
failed=0
for index in 0 1; do
    kubectl patch mutatingwebhookconfiguration shadow-sidecar --type=json -p \
        "[{\"op\":\"add\",\"path\":\"/webhooks/$index/clientConfig/caBundle\",\"value\":\"$bundle\"}]" ||
        failed=1
done
kubectl -n "$namespace" create secret tls webhook-certificate --dry-run=client -o yaml \
    --cert="$directory/tls.crt" --key="$directory/tls.key" | kubectl apply -f -
[ "$failed" = 0 ] || {
    echo "The certificate is there, but the API server does not trust it: the webhook is not installed" >&2
    echo "yet, and until it is trusted every pod starts without the sidecar. Next: kubectl apply -k" >&2
    echo "k8s/self-signed, then this again." >&2
    exit 1
}
