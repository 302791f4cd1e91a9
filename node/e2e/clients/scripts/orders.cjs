// What the programs of the two JavaScript clients share: orders come as lines of
// JSON on standard input, each is answered by one line. A client has fill,
// readReplicas and set.
'use strict';
const readline = require('node:readline');

const WRITERS = 4;
const PAUSE_MS = 4;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// library loads a package from the directory that the test names.
exports.library = (name) => require(require.resolve(name, { paths: [process.env.SLOTMESH_CLIENT_MODULES] }));

exports.serve = (client) => {
  let loop;

  const orders = {
    fill: (o) => client.fill(o.keys, o.pair),
    readReplicas: (o) => client.readReplicas(o.keys),
    startWrites: async (o) => { loop = startLoop(client, o.prefix); },
    stopWrites: () => loop.end(),
  };
  readline.createInterface({ input: process.stdin })
    .on('line', async (line) => {
      const order = JSON.parse(line);
      let answer;
      try {
        answer = { record: await orders[order.do](order) };
      } catch (error) {
        answer = { error: `${order.do}: ${exports.text(error)}` };
      }
      process.stdout.write(JSON.stringify(answer) + '\n');
    })
    .on('close', () => process.exit(0));
};

// text is an error with what caused it: ioredis wraps the last error of a node.
exports.text = (error) => {
  let text = String(error && error.message || error);
  const cause = error && (error.lastNodeError || error.cause);
  if (cause) text += ': ' + exports.text(cause);
  if (error && error.code && !text.includes(error.code)) text += ` (${error.code})`;
  return text;
};

function startLoop(client, prefix) {
  const record = { acks: [], failures: [] };
  let next = 0;
  let running = true;
  const writer = async () => {
    while (running) {
      const seq = next++;
      const key = `${prefix}:${seq}`;
      try {
        await client.set(key);
        record.acks.push({ seq, at: Date.now() });
      } catch (error) {
        record.failures.push({ seq, at: Date.now(), text: exports.text(error) });
      }
      await sleep(PAUSE_MS);
    }
  };
  const writers = Array.from({ length: WRITERS }, writer);
  return {
    end: async () => {
      running = false;
      await Promise.all(writers);
      return record;
    },
  };
}
