// Validates the JSON objects on standard input by the schemas of the packages that define their
// kinds; one line for each object: its number, and "ok", "unknown" or what is wrong with it.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const packages = process.argv[2];
const homes = {
  "argoproj.io": "argo-rollouts",
  "cert-manager.io": "cert-manager",
  "gateway.networking.k8s.io": "gateway-api",
  "monitoring.coreos.com": "prometheus-operator",
  "networking.istio.io": "istio",
  "security.istio.io": "istio",
  "telemetry.istio.io": "istio",
};
for (const [number, object] of JSON.parse(fs.readFileSync(0, "utf8")).entries()) {
  const [group, version] = object.apiVersion.split("/");
  const file = path.join(packages, "@kubernetes-models", homes[group] ?? "none", group, version, `${object.kind}.js`);
  if (!fs.existsSync(file)) {
    console.log(`${number} unknown`);
    continue;
  }
  const Kind = (await import(pathToFileURL(file).href))[object.kind];
  try {
    new Kind(object).validate();
    console.log(`${number} ok`);
  } catch (error) {
    console.log(`${number} ${String(error.message).replaceAll("\n", " ")}`);
  }
}
