// node-redis as a client under test: node node-redis.cjs host port
'use strict';
const { library, serve } = require('./orders.cjs');
const { createCluster } = library('redis');

const [host, port] = process.argv.slice(2);

const CHUNK = 1000;

const options = {
  rootNodes: [{ url: `redis://${host}:${port}` }],
  // By default a command for a lost node waits in the client until that node is
  // back, and the slots are not read anew for 5 s. These say: fail at once, try
  // to connect ten times a second, and look for a new owner soon.
  defaults: { disableOfflineQueue: true, socket: { reconnectStrategy: () => 100 } },
  topologyRefreshOnReconnectionAttemptStrategy: 50,
};

async function connect(more) {
  const cluster = createCluster({ ...options, ...more });
  cluster.on('error', () => {}); // every failed command reports its own
  await cluster.connect();
  return cluster;
}

const primary = connect({});

serve({
  async fill(keys, pair) {
    const cluster = await primary;
    for (let i = 0; i < keys.length; i += CHUNK) {
      // Commands given out in one turn of the event loop leave as a pipeline.
      await Promise.all(keys.slice(i, i + CHUNK).map((key) => cluster.set(key, key)));
    }
    const results = await cluster.multi().incr(pair[0]).incrBy(pair[1], 2).exec();
    if (results[0] !== 1 || results[1] !== 2) throw new Error(`MULTI answered ${results}`);
  },
  async readReplicas(keys) {
    const replicas = await connect({ useReplicas: true });
    for (let i = 0; i < keys.length; i += CHUNK) {
      const chunk = keys.slice(i, i + CHUNK);
      const values = await Promise.all(chunk.map((key) => replicas.get(key)));
      values.forEach((value, at) => {
        if (value !== chunk[at]) throw new Error(`${chunk[at]} reads ${value}`);
      });
    }
    await replicas.close();
  },
  set: async (key) => (await primary).set(key, key),
});
