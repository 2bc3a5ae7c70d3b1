// bare.js is what judge.js can do with rhea, which knows AMQP and nothing of IoT
// Hub: links by their addresses, messages by their sections.
'use strict';

const rhea = require('rhea');
const WebSocket = require('ws');

const host = 'localhost';
const batchFormat = 0x80013700;

// typed has each value that JSON has no type for as {amqp: its type, value}.
function typed(v) {
  if (v === null || typeof v !== 'object') return v;
  if (v.amqp === 'uuid') return rhea.types.wrap_uuid(rhea.string_to_uuid(v.value));
  if (v.amqp === 'binary') return Buffer.from(v.value, 'base64');
  if (v.amqp) return rhea.types['wrap_' + v.amqp](v.value);
  return Object.fromEntries(Object.entries(v).map(([name, value]) => [name, typed(value)]));
}

// plain is typed the other way: what came without its types, but for octets.
function plain(v) {
  if (Buffer.isBuffer(v)) return { amqp: 'binary', value: v.toString('base64') };
  if (v instanceof Date) return { amqp: 'timestamp', value: v.getTime() };
  if (Array.isArray(v)) return v.map(plain);
  if (v === null || typeof v !== 'object') return v;
  return Object.fromEntries(Object.entries(v).map(([name, value]) => [name, plain(value)]));
}

// toMessage makes a message whose data sections are given in base64, and whose
// value, if it has one, as it is.
function toMessage({ data, value, ...sections }) {
  const out = typed(sections);
  const parts = (data || []).map((d) => Buffer.from(d, 'base64'));
  out.body = value !== undefined ? typed(value) : parts.length === 1 ? rhea.message.data_section(parts[0]) : rhea.message.data_sections(parts);
  return out;
}

function fromMessage(m) {
  const { body, ...sections } = m.toJSON();
  if (body === undefined || body === null || body.typecode === undefined) return { ...plain(sections), value: plain(body) };
  return { ...plain(sections), data: [].concat(body.multiple ? body.content : [body.content]).map((d) => d.toString('base64')) };
}

const failed = (err) => Object.assign(new Error(err.description || err.message), { name: err.condition || err.name });

// Bare is a connection with one session.
class Bare {
  constructor(name, { transport, sasl, username, password, idle, frameSize }, emit) {
    this.emit = emit;
    this.links = new Map();
    this.deliveries = [];
    this.outcomes = new Map();
    this.options = { username, password, reconnect: false, idle_time_out: idle, max_frame_size: frameSize };
    if (transport === 'amqp-ws') {
      const connect = rhea.create_container().websocket_connect(WebSocket);
      this.options.connection_details = connect(`wss://${host}:443/$iothub/websocket`, ['AMQPWSB10'], {});
    } else {
      Object.assign(this.options, { transport: 'tls', host, hostname: host, servername: host, port: 5671 });
    }
    this.container = rhea.create_container();
    if (sasl === 'ANONYMOUS') this.options.username = 'anonymous'; // without a password it is a trace
    for (const outcome of ['accepted', 'rejected', 'released', 'modified']) {
      this.container.on(outcome, ({ delivery }) => this.settled(outcome, delivery));
    }
  }

  open() {
    return new Promise((resolve, reject) => {
      const end = (c) => {
        const err = c.error || (c.connection && c.connection.error) || new Error('disconnected');
        if (this.opened) this.emit('ended', { name: err.condition || err.name, message: err.description || err.message });
        else reject(failed(err));
      };
      this.container.once('connection_open', () => {
        this.opened = true;
        resolve(null);
      });
      this.container.on('connection_error', end);
      this.container.on('disconnected', (c) => { if (!this.opened) end(c); });
      this.container.on('session_error', (c) => this.emit('session ended', { name: c.session.error.condition }));
      this.connection = this.container.connect(this.options);
    });
  }

  close() {
    if (!this.opened || this.connection.is_closed()) return null;
    return new Promise((resolve) => {
      this.container.once('connection_close', () => resolve(null));
      this.container.once('disconnected', () => resolve(null));
      this.connection.close();
    });
  }

  // attach opens a link. A link that is refused is attached first, with no
  // terminus where the other end's should be, and then detached with an error.
  attach({ link, address, role, ...options }) {
    const sends = role === 'sender';
    const { filter, properties, ...rest } = options;
    const o = { name: link, autosettle: true, ...rest, properties: typed(properties) };
    o[sends ? 'target' : 'source'] = { address };
    if (filter) o.source.filter = rhea.filter.selector(filter);
    return new Promise((resolve, reject) => {
      const l = sends ? this.connection.open_sender(o) : this.connection.open_receiver(o);
      this.links.set(link, l);
      l.on(role + '_open', () => {
        const terminus = sends ? l.target : l.source;
        if (terminus && terminus.address) resolve(null);
      });
      l.on(role + '_error', () => {
        this.emit('detached', { link, name: l.error.condition, message: l.error.description, info: plain(l.error.info) });
        reject(failed(l.error));
      });
      l.on('receiver_drained', () => {
        l.drain = false;
        this.emit('drained', { link });
      });
      l.on('message', ({ message, delivery }) => {
        this.deliveries.push(delivery);
        const body = delivery.format ? { raw: message.toString('base64') } : fromMessage(message);
        this.emit('on ' + link, { index: this.deliveries.length - 1, tag: delivery.tag.length, settled: delivery.remote_settled, message: body });
      });
    });
  }

  detach({ link }) {
    const l = this.links.get(link);
    return new Promise((resolve) => {
      l.once(l.is_sender() ? 'sender_close' : 'receiver_close', () => resolve(null));
      l.close();
    });
  }

  // send tells each message's outcome, in the order of the messages.
  async send({ link, messages, batch }) {
    const l = this.links.get(link);
    let out = messages.map((m) => rhea.message.encode(toMessage(m)));
    if (batch) out = [rhea.message.encode({ body: rhea.message.data_sections(out) })];
    const told = [];
    for (const m of out) {
      if (!l.sendable()) await new Promise((resolve) => l.once('sendable', resolve));
      const delivery = l.send(m, undefined, batch ? batchFormat : 0);
      told.push(delivery.settled ? Promise.resolve({ outcome: 'none' }) : new Promise((resolve) => this.outcomes.set(delivery, resolve)));
    }
    return Promise.all(told);
  }

  settled(outcome, delivery) {
    const error = delivery.remote_state && delivery.remote_state.error;
    const tell = this.outcomes.get(delivery);
    this.outcomes.delete(delivery);
    if (tell) tell({ outcome, condition: error ? error.condition : undefined });
  }

  credit({ link, n }) { this.links.get(link).add_credit(n); }

  // drain gives credit, and has unused credit taken back at once.
  drain({ link, n }) {
    const l = this.links.get(link);
    l.add_credit(n);
    l.drain_credit();
  }

  // settle says what became of a delivery, and forgets it.
  settle({ index, how, args }) { this.deliveries[index][how](args); }

  // propose says what became of a delivery, and waits for the sender to agree.
  propose({ index, outcome, args }) {
    const d = this.deliveries[index];
    return new Promise((resolve) => {
      d.link.on('settled', (c) => { if (c.delivery === d) resolve(rhea.message.unwrap_outcome(d.remote_state).constructor.composite_type); });
      d.update(false, rhea.message[outcome](args || {}).described());
    });
  }
}

module.exports = { Bare };
