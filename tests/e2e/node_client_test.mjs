// The core flow with @grpc/grpc-js, as a Node user writes it: create, publish, fetch, subscribe, acknowledge, read, watch.
// Starts a broker of its own; ends with 'N passed, N failed'.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const program = process.env.WEIR_SERVER ?? path.join(root, 'build/bin/weir-server');
const definition = loader.loadSync(['waymaker/streams.proto', 'weir/v1/admin.proto'], {
  includeDirs: [path.join(root, 'proto')], keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true,
});
const { waymaker, weir } = grpc.loadPackageDefinition(definition);

const folder = mkdtempSync(path.join(tmpdir(), 'weir-e2e-'));
const broker = spawn(program, ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--data', path.join(folder, 'data')],
  { stdio: ['ignore', 'pipe', 'inherit'] });
const ended = new Promise((resolve) => { broker.on('exit', resolve); });
process.on('exit', () => {
  broker.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

const [ready] = await Promise.race([
  readline.createInterface({ input: broker.stdout })[Symbol.asyncIterator]().next().then((line) => [line.value]),
  ended.then((code) => { throw new Error(`the broker ended with ${code}`); }),
]);
const address = /^weir-server ready listen=(\S+) /.exec(ready)[1];
const client = new waymaker.streams.WaymakerStreamsService(address, grpc.credentials.createInsecure(),
  { 'grpc.max_receive_message_length': -1 });

const admin = new weir.v1.Admin(address, grpc.credentials.createInsecure());

const call = (method, request, service = client) => new Promise((resolve, reject) => {
  service[method](request, { deadline: Date.now() + 20_000 }, (failure, answer) => (failure ? reject(failure) : resolve(answer)));
});
const ok = async (method, request, service = client) => {
  const answer = await call(method, request, service);
  assert.equal(answer.result_code, 'ok', answer.message);
  assert.equal(answer.success, true);
  return answer;
};

const tests = {
  async 'create, inform, list'() {
    await ok('CreateStream', { config: { name: 'node', subjects_filter: ['n.>'], durability: 'DURABILITY_FSYNC' } });
    assert.equal((await call('CreateStream', { config: { name: 'node' } })).result_code, 'already_exists');
    const info = await ok('GetStreamInfo', { name: 'node' });
    assert.deepEqual(info.config.subjects_filter, ['n.>']);
    assert.deepEqual((await call('ListStreams', {})).names, ['node']);
  },

  async 'publish 1,000 messages at once, with headers'() {
    const headers = [{ key: 'k', value: '1' }, { key: 'k', value: '2' }, { key: 'a', value: '\u2603' }];
    const answers = await Promise.all(Array.from({ length: 1000 }, (_, n) => ok('Publish',
      { stream: 'node', subject: `n.${n % 7}`, payload: Buffer.from(`payload ${n} \u2603`), headers })));
    assert.equal(new Set(answers.map((a) => a.seq)).size, 1000);
    assert.equal(Math.max(...answers.map((a) => a.seq)), 1000);
    assert.equal((await call('Publish', { stream: 'node', subject: 'other', payload: Buffer.from('x') })).result_code,
      'subject_rejected');
    assert.equal((await call('Publish', { stream: 'no', subject: 'a' })).result_code, 'no_such_stream');
  },

  async 'fetch everything in order, acknowledge it'() {
    await ok('CreateConsumer', { stream: 'node', config: { name: 'c', ack_wait_ms: 600_000 } });
    const seqs = [];
    const payloads = new Set();
    for (;;) {
      const { messages } = await ok('Fetch', { stream: 'node', consumer: 'c', batch_size: 100 });
      if (messages.length === 0) break;
      for (const message of messages) {
        seqs.push(message.seq);
        payloads.add(message.payload.toString());
        assert.deepEqual(message.headers.map((h) => `${h.key}=${h.value}`), ['k=1', 'k=2', 'a=\u2603']);
        assert.equal(message.deliver_count, 1);
      }
      await Promise.all(messages.map((m) => ok('Ack', { stream: 'node', consumer: 'c', seq: m.seq })));
    }
    assert.deepEqual(seqs, Array.from({ length: 1000 }, (_, n) => n + 1));
    assert.deepEqual(payloads, new Set(Array.from({ length: 1000 }, (_, n) => `payload ${n} \u2603`)));
    assert.equal((await ok('GetConsumerInfo', { stream: 'node', consumer: 'c' })).consumer.ack_floor, 1000);
  },

  async 'subscribe, acknowledge, and see the end of the consumer'() {
    await ok('CreateStream', { config: { name: 'jobs', retention: { work_queue: {} } } });
    await ok('CreateConsumer', { stream: 'jobs', config: { name: 'worker', ack_wait_ms: 600_000 } });
    const events = client.Subscribe({ stream: 'jobs', consumer: 'worker', batch_size: 8 });
    const publishing = Promise.all(Array.from({ length: 200 },
      (_, n) => ok('Publish', { stream: 'jobs', subject: 'job', payload: Buffer.from(`job ${n}`) })));
    const seqs = [];
    let ending;
    let reason;
    for await (const event of events) {
      if (event.event === 'stopped') {
        reason = event.stopped.reason;
        continue;
      }
      seqs.push(event.message.seq);
      if (seqs.length <= 100) await ok('Ack', { stream: 'jobs', consumer: 'worker', seq: event.message.seq });
      if (seqs.length === 200) {
        await publishing;
        const many = await ok('AckMany', { stream: 'jobs', consumer: 'worker', up_to_seq: 200 }, admin);
        assert.equal(many.acked, 100);
        ending = ok('DeleteConsumer', { stream: 'jobs', consumer: 'worker' });
      }
    }
    await ending;
    assert.equal(reason, 'consumer deleted');
    assert.deepEqual(seqs, Array.from({ length: 200 }, (_, n) => n + 1));
    assert.equal((await ok('GetStreamInfo', { name: 'jobs' })).stats.msg_count, 0);
  },

  async 'optimistic concurrency, absent and zero told apart'() {
    assert.equal((await ok('Publish', { stream: 'node', subject: 'n.cas', expected_last_seq: 0 })).seq, 1001);
    const wrong = await call('Publish', { stream: 'node', subject: 'n.cas', expected_last_seq: 0 });
    assert.deepEqual([wrong.result_code, wrong.seq], ['wrong_revision', 1001]);
    await ok('Publish', { stream: 'node', subject: 'n.cas' });
  },

  async 'latest, subjects, scan, update'() {
    assert.equal((await ok('ReadLatestAtSubject', { stream: 'node', subject: 'n.cas' })).latest.seq, 1002);
    assert.ok(!(await ok('ReadLatestAtSubject', { stream: 'node', subject: 'n.none' })).latest);
    assert.equal((await ok('ListSubjectsByPrefix', { stream: 'node', prefix: 'n.' })).subjects.length, 8);
    const scan = await ok('ScanExactAtSubject', { stream: 'node', subject: 'n.cas', from_seq: 0, limit: 10 });
    assert.deepEqual(scan.messages.map((m) => m.seq), [1001, 1002]);
    assert.equal((await ok('UpdateStream', { name: 'node', max_msgs: 2, strict_limits: true })).pruned, 1000);
  },

  async 'watch'() {
    const events = client.WatchStreams({});
    const seen = [];
    const closed = new Promise((resolve) => { events.on('error', resolve); events.on('end', resolve); });
    events.on('data', (event) => seen.push(event));
    for (let n = 0; n < 100 && seen.length === 0; ++n) {
      await ok('CreateStream', { config: { name: `watched${n}` } });
      await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
    assert.equal(seen[0].type, 'WATCH_STREAM_CREATED');
    assert.match(seen[0].stream.name, /^watched/);
    events.cancel();
    await closed;
  },

  async 'stops cleanly'() {
    client.close();
    admin.close();
    broker.kill('SIGTERM');
    assert.equal(await ended, 0);
  },
};

let passed = 0;
let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
    passed += 1;
    console.log(`ok      ${name}`);
  } catch (failure) {
    failed += 1;
    console.log(`FAILED  ${name}\n${failure.stack}`);
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
