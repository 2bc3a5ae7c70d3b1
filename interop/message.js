// message.js is how judge.js and office.js have messages in JSON.
'use strict';

const { Message } = require('azure-iot-device');

const systemProperties = ['messageId', 'correlationId', 'userId', 'to', 'contentType', 'contentEncoding', 'expiryTimeUtc', 'ack'];

// toMessage makes a message of the SDK's, which over AMQP takes a time for what it
// encodes as one: milliseconds.
function toMessage(m, { times } = {}) {
  const out = new Message(Buffer.from(m.body || '', 'base64'));
  for (const name of systemProperties) if (m[name]) out[name] = m[name];
  if (times && m.expiryTimeUtc) out.expiryTimeUtc = Date.parse(m.expiryTimeUtc);
  if (m.security) out.setAsSecurityMessage();
  for (const { name, value } of m.properties || []) out.properties.add(name, value);
  return out;
}

function fromMessage(m) {
  const out = { body: m.getBytes().toString('base64') };
  for (const name of systemProperties) if (m[name]) out[name] = m[name];
  if (typeof out.expiryTimeUtc === 'number') out.expiryTimeUtc = new Date(out.expiryTimeUtc).toISOString();
  const annotations = m.transportObj && m.transportObj.message_annotations; // over AMQP
  if (annotations && annotations['iothub-deliverycount']) out.deliveryCount = annotations['iothub-deliverycount'];
  out.properties = m.properties.propertyList.map(({ key, value }) => ({ name: key, value }));
  return out;
}

module.exports = { toMessage, fromMessage };
