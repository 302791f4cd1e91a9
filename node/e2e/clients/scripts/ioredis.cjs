// ioredis as a client under test: node ioredis.cjs host port
'use strict';
const { library, serve } = require('./orders.cjs');
const { Cluster } = library('ioredis');

const [host, port] = process.argv.slice(2);
const seed = [{ host, port: Number(port) }];

const CHUNK = 1000;

// The defaults serve: commands for a lost node are tried again every
// retryDelayOnFailover (100 ms), at most 16 times, with the slots read anew.
const cluster = new Cluster(seed);
cluster.on('error', () => {}); // every failed command reports its own

function check(results, wanted) {
  results.forEach(([error, value], i) => {
    if (error) throw error;
    if (value !== wanted[i]) throw new Error(`answer ${i} is ${value}, not ${wanted[i]}`);
  });
}

// ioredis wants all keys of one pipeline on one node.
async function pipelines(client, keys, command, wanted) {
  const calculateSlot = library('cluster-key-slot');
  const byNode = new Map();
  for (const key of keys) {
    const node = client.slots[calculateSlot(key)][0];
    if (!byNode.has(node)) byNode.set(node, []);
    byNode.get(node).push(key);
  }
  for (const group of byNode.values()) {
    for (let i = 0; i < group.length; i += CHUNK) {
      const chunk = group.slice(i, i + CHUNK);
      const pipeline = client.pipeline();
      chunk.forEach((key) => command(pipeline, key));
      check(await pipeline.exec(), chunk.map(wanted));
    }
  }
}

const ready = (client) => client.status === 'ready'
  ? Promise.resolve()
  : new Promise((resolve, reject) => client.once('ready', resolve).once('end', () => reject(new Error('no node reachable'))));

serve({
  async fill(keys, pair) {
    await ready(cluster);
    await pipelines(cluster, keys, (p, key) => p.set(key, key), () => 'OK');
    const results = await cluster.multi().incr(pair[0]).incrby(pair[1], 2).exec();
    check(results, [1, 2]);
  },
  async readReplicas(keys) {
    const replicas = new Cluster(seed, { scaleReads: 'slave' });
    replicas.on('error', () => {});
    await ready(replicas);
    for (let i = 0; i < keys.length; i += CHUNK) {
      const chunk = keys.slice(i, i + CHUNK);
      const values = await Promise.all(chunk.map((key) => replicas.get(key)));
      values.forEach((value, at) => {
        if (value !== chunk[at]) throw new Error(`${chunk[at]} reads ${value}`);
      });
    }
    replicas.disconnect();
  },
  set: (key) => cluster.set(key, key),
});
