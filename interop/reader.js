// reader.js is what judge.js can do with @azure/event-hubs: reading what devices
// send, and asking about partitions.
'use strict';

const { EventHubConsumerClient } = require('@azure/event-hubs');
const WebSocket = require('ws');

// Reader is a consumer of one group, over a connection of its own.
class Reader {
  constructor(name, { connectionString, group, transport }, emit) {
    const options = { retryOptions: { maxRetries: 0, timeoutInMs: 60000 } };
    if (transport === 'amqp-ws') options.webSocketOptions = { webSocket: WebSocket };
    this.client = new EventHubConsumerClient(group || EventHubConsumerClient.defaultConsumerGroupName, connectionString, options);
    this.subscriptions = new Map();
    this.emit = emit;
  }

  hub() { return this.client.getEventHubProperties(); }
  partitions() { return this.client.getPartitionIds(); }
  partition({ partition }) { return this.client.getPartitionProperties(partition); }

  // listen reads a partition, or without one all that there are, and says what comes by the name of the subscription.
  listen({ name, partition, from, level, metrics }) {
    const said = (events, context) => {
      for (const e of events) {
        const { enqueuedTimeUtc, sequenceNumber, offset, properties, systemProperties } = e;
        this.emit(name, {
          body: e.body.toString('base64'), bodyType: e.getRawAmqpMessage().bodyType,
          enqueuedTimeUtc, sequenceNumber, offset, properties, systemProperties,
          last: metrics ? context.lastEnqueuedEventProperties : undefined,
        });
      }
      return Promise.resolve();
    };
    const lost = (err) => {
      this.emit(name + ' lost', { name: err.code || err.name, message: err.message });
      return Promise.resolve();
    };
    const handlers = { processEvents: said, processError: lost };
    const options = {
      startPosition: from, ownerLevel: level, trackLastEnqueuedEventProperties: metrics,
      maxBatchSize: 100, maxWaitTimeInSeconds: 1, skipParsingBodyAsJson: true,
    };
    this.subscriptions.set(name, partition ? this.client.subscribe(partition, handlers, options) : this.client.subscribe(handlers, options));
  }

  stop({ name }) { return this.subscriptions.get(name).close().then(() => null); }
  close() { return this.client.close().then(() => null); }
}

module.exports = { Reader };
