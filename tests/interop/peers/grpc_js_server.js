// Open Inference Protocol v2 by @grpc/grpc-js, the gRPC that is written in JavaScript.
//
// `node grpc_js_server.js PROTO BIAS` answers ModelInfer and ModelStreamInfer with the output "y",
// twice the first input plus BIAS (FP32, typed), and prints one JSON line with `ready` and
// `address`. An input called "bad" is refused.
"use strict";

const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [proto, bias] = process.argv.slice(2);
const service = grpc.loadPackageDefinition(loader.loadSync(proto, { keepCase: true })).inference
  .GRPCInferenceService.service;

function answer(request) {
  const input = request.inputs[0];
  const values = input.contents.fp32_contents.map((x) => 2 * x + Number(bias));
  return {
    model_name: request.model_name,
    model_version: Number(bias) ? "2" : "1",
    id: request.id,
    outputs: [
      { name: "y", datatype: "FP32", shape: input.shape, contents: { fp32_contents: values } },
    ],
  };
}

const server = new grpc.Server();
server.addService(service, {
  ModelInfer(call, done) {
    if (call.request.inputs[0].name === "bad") {
      done({ code: grpc.status.INVALID_ARGUMENT, details: "no such input: bad" });
    } else {
      done(null, answer(call.request));
    }
  },
  ModelStreamInfer(call) {
    call.on("data", (request) => call.write({ infer_response: answer(request) }));
    call.on("end", () => call.end());
  },
});
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(JSON.stringify({ ready: true, address: `127.0.0.1:${port}` }));
});
process.on("SIGTERM", () => server.tryShutdown(() => process.exit(0)));
