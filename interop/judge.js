// judge.js lets a Go test drive the official Azure IoT SDKs for Node, which it
// uses unmodified and through their public API alone.
//
// It reads one command a line from stdin and answers on stdout, in JSON:
//
//	{"id":1,"client":"c1","do":"send","args":{…}}
//	{"id":1,"result":…} or {"id":1,"error":{"name":"UnauthorizedError","message":"…"}}
//
// What happens to a client without being asked for is an event:
//
//	{"client":"c1","event":"message","value":{…}}
//
// Bodies are base64. It ends with its stdin.
'use strict';

const crypto = require('node:crypto');
const http = require('node:http');
const https = require('node:https');
const readline = require('node:readline');
const { Readable } = require('node:stream');
const tls = require('node:tls');
const { BlockBlobClient } = require('@azure/storage-blob');
const { NoRetry } = require('azure-iot-common');
const { Client, ModuleClient } = require('azure-iot-device');
const { Amqp, AmqpWs } = require('azure-iot-device-amqp');
const { Http } = require('azure-iot-device-http');
const { Mqtt, MqttWs } = require('azure-iot-device-mqtt');
const { ProvisioningDeviceClient } = require('azure-iot-provisioning-device');
const { Mqtt: ProvisioningMqtt, MqttWs: ProvisioningMqttWs } = require('azure-iot-provisioning-device-mqtt');
const { SymmetricKeySecurityClient } = require('azure-iot-security-symmetric-key');
const { X509Security } = require('azure-iot-security-x509');
const { Bare } = require('./bare.js');
const { fromMessage, toMessage } = require('./message.js');
const { Office } = require('./office.js');
const { Reader } = require('./reader.js');

const transports = { mqtt: Mqtt, 'mqtt-ws': MqttWs, https: Http, amqp: Amqp, 'amqp-ws': AmqpWs };
const provisioningTransports = { mqtt: ProvisioningMqtt, 'mqtt-ws': ProvisioningMqttWs };
const clients = new Map();

const write = (line) => process.stdout.write(JSON.stringify(line) + '\n');

// say reports an error with the one that the transport saw below it, since the
// SDK calls every failure of a first connection Unauthorized. Over AMQP that one
// has a condition.
function say(err) {
  const cause = err.transportError || err.amqpError;
  const below = cause && [cause.condition, cause.description || cause.message].filter(Boolean).join(': ');
  return { name: err.name, message: below ? `${err.message} (${below})` : String(err.message) };
}

function* chunks(bytes, size = 64 << 10) {
  for (let i = 0; i < bytes.length; i += size) yield bytes.subarray(i, i + size);
}

const sum = (bytes) => ({ size: bytes.length, sha256: crypto.createHash('sha256').update(bytes).digest('hex') });

// plain is a half of the twin without the SDK's own members.
const plain = (half) => JSON.parse(JSON.stringify(half));

// Through is an agent that connects through an HTTP proxy at a port of this machine.
class Through extends https.Agent {
  constructor(port) {
    super();
    this.proxy = port;
  }

  createConnection({ host, port, servername }, done) {
    const request = http.request({ host: '127.0.0.1', port: this.proxy, method: 'CONNECT', path: `${host}:${port}` });
    request.on('connect', (_, socket) => done(null, tls.connect({ socket, servername: servername || host })));
    request.on('error', done);
    request.end();
  }
}

// Peer is a device or module client, and what it has received.
class Peer {
  constructor(name, { connectionString, transport, module, retry }) {
    this.name = name;
    this.received = [];
    this.times = { times: /^amqp/.test(transport) };
    this.client = (module ? ModuleClient : Client).fromConnectionString(connectionString, transports[transport]);
    if (!retry) this.client.setRetryPolicy(new NoRetry());
    this.client.on('connect', () => this.event('connect', null));
    this.client.on('disconnect', (r) => this.event('disconnect', r && r.transportObj ? say(r.transportObj) : null));
    this.client.on('error', (err) => this.event('error', say(err)));
  }

  event(event, value) { write({ client: this.name, event, value }); }

  open() { return this.client.open().then(() => null); }
  close() { return this.client.close().then(() => null); }
  options(o) { return this.client.setOptions(o).then(() => null); }

  // Options over HTTPS are answered only with a policy for messages.
  proxy({ port }) {
    const agent = new Through(port);
    return this.options({
      mqtt: { webSocketAgent: agent }, amqp: { webSocketAgent: agent }, http: { agent, receivePolicy: { interval: 1, drain: true } },
    });
  }

  send(m) { return this.client.sendEvent(toMessage(m, this.times)).then((r) => r.constructor.name); }
  // haste closes it while it sends something, of which no more may be heard.
  haste(m) {
    this.send(m).catch(() => null);
    return this.close();
  }

  sendAll(ms) { return Promise.all(ms.map((m) => this.send(m))); }
  sendBatch(ms) { return this.client.sendEventBatch(ms.map((m) => toMessage(m, this.times))).then((r) => r.constructor.name); }
  sendOutput({ output, message }) { return this.client.sendOutputEvent(output, toMessage(message, this.times)).then((r) => r.constructor.name); }

  // Messages are kept, and settled by their place in the order of arrival.
  messages() {
    this.client.on('message', (m) => {
      this.received.push(m);
      this.event('message', fromMessage(m));
    });
  }

  noMessages() { this.client.removeAllListeners('message'); }

  inputs() {
    this.client.on('inputMessage', (input, m) => {
      this.received.push(m);
      this.event('input', { input, message: fromMessage(m) });
    });
  }

  // upload sends bytes that nobody could guess, and tells their sum.
  async upload({ name, size }) {
    const bytes = crypto.randomBytes(size);
    await this.client.uploadToBlob(name, Readable.from(chunks(bytes)), size);
    return sum(bytes);
  }

  slot({ name }) { return this.client.getBlobSharedAccessSignature(name); }
  notify({ correlationId, ok, status, text }) {
    return this.client.notifyBlobUploadStatus(correlationId, ok, status, text).then(() => null);
  }

  // stored reads a blob, with the token of the slot that it was or could have been uploaded with.
  async stored({ hostName, containerName, blobName, sasToken }) {
    const blob = new BlockBlobClient(`https://${hostName}/${containerName}/${blobName}${sasToken}`);
    return sum(await blob.downloadToBuffer());
  }

  settleLast() { return this.settle({ how: 'complete', index: this.received.length - 1 }); }
  settle({ how, index }) { return this.client[how](this.received[index]).then((r) => r.constructor.name); }

  async twin() {
    this.twinObject = await this.client.getTwin();
    const { desired, reported } = this.twinObject.properties;
    return { desired: plain(desired), reported: plain(reported) };
  }

  async refreshTwin() {
    await this.twinObject.get();
    const { desired, reported } = this.twinObject.properties;
    return { desired: plain(desired), reported: plain(reported) };
  }

  desired({ path }) {
    const name = path ? 'properties.desired.' + path : 'properties.desired';
    this.twinObject.on(name, (delta) => this.event('desired', { path: path || '', value: delta }));
  }

  report(patch) {
    return new Promise((resolve, reject) => {
      this.twinObject.properties.reported.update(patch, (err) => (err ? reject(err) : resolve(null)));
    });
  }

  // renew gives it another token than it was made with.
  renew({ token }) {
    return new Promise((resolve, reject) => this.client.updateSharedAccessSignature(token, (err) => (err ? reject(err) : resolve(null))));
  }

  // invoke has a module call a method of another, or of a device.
  invoke({ deviceId, moduleId, method }) {
    return moduleId ? this.client.invokeMethod(deviceId, moduleId, method) : this.client.invokeMethod(deviceId, method);
  }

  // method answers calls with what it was told, or with the payload it got, after a time in milliseconds.
  method({ name, status, payload, echo, delay }) {
    const listen = this.client.onDeviceMethod || this.client.onMethod;
    listen.call(this.client, name, (request, response) => {
      this.event('method', { name: request.methodName, payload: request.payload });
      setTimeout(() => response.send(status, echo ? request.payload : payload, (err) => {
        if (err) this.event('error', say(err));
      }), delay || 0);
    });
  }
}

// Newcomer is a device that asks the provisioning service for its hub.
class Newcomer {
  constructor(name, { host, idScope, transport, registrationId, key, x509, payload }) {
    const security = key ? new SymmetricKeySecurityClient(registrationId, key) : new X509Security(registrationId, x509);
    this.client = ProvisioningDeviceClient.create(host, idScope, new provisioningTransports[transport](), security);
    if (payload !== undefined) this.client.setProvisioningPayload(payload);
  }

  register() { return this.client.register(); }
}

const made = { 'new peer': Peer, 'new newcomer': Newcomer, 'new office': Office, 'new reader': Reader, 'new bare': Bare };

async function run({ client, do: action, args }) {
  if (made[action]) {
    const emit = (event, value) => write({ client, event, value });
    return void clients.set(client, new made[action](client, args, emit));
  }
  return clients.get(client)[action](args);
}

readline.createInterface({ input: process.stdin })
  .on('line', (line) => {
    const command = JSON.parse(line);
    run(command).then(
      (result) => write({ id: command.id, result: result ?? null }),
      (err) => write({ id: command.id, error: say(err) }),
    );
  })
  .on('close', () => process.exit(0));
