// Calls at a fixed rate, whatever the server does. Written for k6 1.1; see load.py.
import grpc from 'k6/net/grpc';
import encoding from 'k6/encoding';
import { Counter } from 'k6/metrics';

const client = new grpc.Client();
client.load(['.'], 'echo.proto');
const failed = new Counter('calls_failed');
const data = encoding.b64encode('x'.repeat(Number(__ENV.PAYLOAD)));

export const options = {
  discardResponseBodies: true,
  summaryTrendStats: ['p(50)', 'p(99)', 'p(99.9)', 'count'],
  scenarios: {
    steady: {
      executor: 'constant-arrival-rate',
      rate: Number(__ENV.RATE),
      timeUnit: '1s',
      duration: `${__ENV.SECONDS}s`,
      preAllocatedVUs: Number(__ENV.USERS),
      maxVUs: Number(__ENV.USERS),
    },
  },
};

let connected = false;

export default function () {
  if (!connected) {
    client.connect(__ENV.ADDRESS, { plaintext: true });
    connected = true;
  }
  const answer = client.invoke('test.Bytes/Unary', { data });
  if (answer.status !== grpc.StatusOK) {
    failed.add(1);
  }
}

export function handleSummary(summary) {
  const latency = summary.metrics.grpc_req_duration.values;
  const dropped = summary.metrics.dropped_iterations;
  const failures = summary.metrics.calls_failed;
  return {
    [__ENV.SUMMARY]: JSON.stringify({
      calls: latency.count,
      failed: failures ? failures.values.count : 0,
      dropped: dropped ? dropped.values.count : 0,
      p50: latency['p(50)'],
      p99: latency['p(99)'],
      p999: latency['p(99.9)'],
    }),
  };
}
