// The client of @grpc/grpc-js: every compression, unary and streaming, and one refusal.
//
// `node grpc_js_client.js PROTO ADDRESS` prints one JSON line: `calls`, and for each of them in
// `answers` the outputs by name. A stream's outputs are called "y", "[1]y", "[2]y", ...
"use strict";

const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [proto, address] = process.argv.slice(2);
const Service = grpc.loadPackageDefinition(
  loader.loadSync(proto, { keepCase: true, longs: Number }),
).inference.GRPCInferenceService;
const COMPRESSIONS = ["identity", "deflate", "gzip"]; // grpc-js numbers them in this order
const UNARY_CALLS = 20;
const STREAMED = 5;

function request(i, name = "x") {
  const values = Array.from({ length: 64 }, (_, k) => i + k / 64); // long enough to compress
  const input = { name, datatype: "FP32", shape: [64], contents: { fp32_contents: values } };
  return { model_name: "doubler", id: String(i), inputs: [input] };
}

function values(response) {
  return response.outputs[0].contents.fp32_contents;
}

function unary(client, i, name) {
  return new Promise((resolve) => {
    client.ModelInfer(request(i, name), (error, response) => {
      resolve(error ? { outputs: {}, refused: error.details } : { outputs: { y: values(response) } });
    });
  });
}

function stream(client) {
  return new Promise((resolve, reject) => {
    const outputs = {};
    const call = client.ModelStreamInfer();
    call.on("data", ({ infer_response: response }) => {
      const n = Object.keys(outputs).length;
      outputs[n ? `[${n}]y` : "y"] = values(response);
    });
    call.on("error", reject);
    call.on("end", () => resolve({ outputs }));
    for (let i = 0; i < STREAMED; i += 1) call.write(request(i));
    call.end();
  });
}

async function main() {
  const answers = [];
  for (const [number, compression] of COMPRESSIONS.entries()) {
    const options = { "grpc.default_compression_algorithm": number };
    const client = new Service(address, grpc.credentials.createInsecure(), options);
    const calls = Array.from({ length: UNARY_CALLS }, (_, i) => unary(client, i));
    for (const answer of await Promise.all(calls)) answers.push({ compression, ...answer });
    answers.push({ compression, ...(await stream(client)) });
    answers.push({ compression, ...(await unary(client, 0, "bad")) });
    client.close();
  }
  console.log(JSON.stringify({ calls: answers.length, answers }));
}

main();
