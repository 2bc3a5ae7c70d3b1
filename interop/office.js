// office.js is what judge.js can do with azure-iothub: the service's side, over
// REST, and over AMQP what the SDK has there.
'use strict';

const { ContainerClient } = require('@azure/storage-blob');
const { NoRetry } = require('azure-iot-common');
const { Amqp, AmqpWs, Client, DigitalTwinClient, IoTHubTokenCredentials, JobClient, Registry } = require('azure-iothub');
const { fromMessage, toMessage } = require('./message.js');

const transports = { amqp: Amqp, 'amqp-ws': AmqpWs };

// Office is the service. Most of it is called by the names that the SDK has.
class Office {
  constructor(name, { connectionString, token, transport }, emit) {
    const [how, secret] = token ? ['fromSharedAccessSignature', token] : ['fromConnectionString', connectionString];
    this.registry = Registry[how](secret);
    this.client = Client[how](secret, transports[transport]); // AMQP is what it has for itself
    if (transport) this.client.setRetryPolicy(new NoRetry());
    this.jobs = JobClient[how](secret);
    if (!token) this.twins = new DigitalTwinClient(new IoTHubTokenCredentials(connectionString)); // takes nothing else
    this.emit = emit;
    this.client.on('disconnect', ({ reason }) => emit('disconnect', reason ? { name: reason.name, message: reason.message } : null));
    this.receivers = {};
  }

  open() { return this.client.open().then(() => null); }
  close() { return this.client.close().then(() => null); }
  sendMessage({ deviceId, message }) { return this.client.send(deviceId, toMessage(message, { times: true })).then((r) => r.result.constructor.name); }

  // hear listens to feedback or to file notifications, which the SDK accepts by itself.
  async hear({ what }) {
    const { result: receiver } = await this.client[what === 'feedback' ? 'getFeedbackReceiver' : 'getFileNotificationReceiver']();
    this.receivers[what] = receiver;
    receiver.on('message', (m) => this.emit(what, { ...fromMessage(m), annotations: m.transportObj.message_annotations }));
    receiver.on('error', (err) => this.emit(what + ' lost', { name: err.condition || err.name, message: err.description || err.message }));
  }

  deafen({ what }) {
    const receiver = this.receivers[what];
    delete this.receivers[what];
    return receiver.detach().then(() => null);
  }

  body(call) { return call.then((r) => r.responseBody ?? null); }
  statistics() { return this.body(this.registry.getRegistryStatistics()); }
  create(d) { return this.body(this.registry.create(d)); }
  update(d) { return this.body(this.registry.update(d)); }
  get({ deviceId }) { return this.body(this.registry.get(deviceId)); }
  list() { return this.body(this.registry.list()); }
  delete({ deviceId }) { return this.body(this.registry.delete(deviceId)); }
  addModule(m) { return this.body(this.registry.addModule(m)); }
  updateModule({ module, force }) { return this.body(this.registry.updateModule(module, force)); }
  getModule({ deviceId, moduleId }) { return this.body(this.registry.getModule(deviceId, moduleId)); }
  modules({ deviceId }) { return this.body(this.registry.getModulesOnDevice(deviceId)); }
  removeModule({ deviceId, moduleId }) { return this.body(this.registry.removeModule(deviceId, moduleId)); }

  // With its etag: the SDK does that for callbacks alone.
  removeModuleIf(m) {
    return new Promise((resolve, reject) => this.registry.removeModule(m, (err) => (err ? reject(err) : resolve(null))));
  }

  addDevices(devices) { return this.body(this.registry.addDevices(devices)); }
  updateDevices({ devices, force }) { return this.body(this.registry.updateDevices(devices, force)); }
  removeDevices({ devices, force }) { return this.body(this.registry.removeDevices(devices, force)); }

  // What is for a module has a moduleId.
  twin({ deviceId, moduleId }) {
    return this.body(moduleId ? this.registry.getModuleTwin(deviceId, moduleId) : this.registry.getTwin(deviceId));
  }

  updateTwin({ deviceId, moduleId, patch, etag }) {
    return this.body(moduleId
      ? this.registry.updateModuleTwin(deviceId, moduleId, patch, etag)
      : this.registry.updateTwin(deviceId, patch, etag));
  }

  // A twin that is kept remembers its etag, and updates with it.
  async keepTwin(id) { this.kept = await this.twin(id); }
  async updateKept(patch) { return (await this.kept.update(patch)).result; }
  async refreshKept() { return (await this.kept.get()).result; }

  invoke({ deviceId, moduleId, method }) {
    const call = moduleId ? this.client.invokeDeviceMethod(deviceId, moduleId, method) : this.client.invokeDeviceMethod(deviceId, method);
    return call.then((r) => r.result);
  }

  // pages reads a query to its end, as the SDK says when that is. With promises,
  // next reads the first page again unless it is told where to go on.
  async pages({ sql, size, as }) {
    const query = this.registry.createQuery(sql, size);
    const pages = [];
    while (query.hasMoreResults) {
      const page = await (as === 'twin' ? query.nextAsTwin() : query.next(query.continuationToken));
      pages.push(page.result);
      if (pages.length > 1000) throw new Error('the query does not end');
    }
    return pages;
  }

  // page reads one page from where an older one left off.
  async page({ sql, size, token }) {
    const query = this.registry.createQuery(sql, size);
    const { result, message } = await (token ? query.next(token) : query.next());
    return { rows: result, token: query.continuationToken ?? '', kind: message.headers['x-ms-item-type'] };
  }

  schedule({ jobId, condition, method, patch, start, seconds }) {
    const when = start ? new Date(start) : undefined;
    const call = method
      ? this.jobs.scheduleDeviceMethod(jobId, condition, method, when, seconds)
      : this.jobs.scheduleTwinUpdate(jobId, condition, patch, when, seconds);
    return call.then((r) => r.jobStatus);
  }

  job({ jobId }) { return this.jobs.getJob(jobId).then((r) => r.jobStatus); }
  cancelJob({ jobId }) { return this.jobs.cancelJob(jobId).then((r) => r.jobStatus); }

  async jobPages({ type, status, size }) {
    const query = this.jobs.createQuery(type, status, size);
    const pages = [];
    while (query.hasMoreResults && pages.length < 1000) pages.push((await query.next(query.continuationToken)).result);
    return pages;
  }

  addConfiguration(c) { return this.body(this.registry.addConfiguration(c)); }
  configuration({ id }) { return this.body(this.registry.getConfiguration(id)); }
  configurations() { return this.body(this.registry.getConfigurations()); }
  updateConfiguration({ configuration, force }) { return this.body(this.registry.updateConfiguration(configuration, force)); }
  removeConfiguration({ id }) { return this.body(this.registry.removeConfiguration(id)); }
  applyConfiguration({ deviceId, content }) { return this.body(this.registry.applyConfigurationContentOnDevice(deviceId, content)); }

  exportDevices({ to, excludeKeys }) { return this.registry.exportDevicesToBlob(to, excludeKeys); }
  exportDevicesByIdentity({ to, excludeKeys }) { return this.registry.exportDevicesToBlobByIdentity(to, excludeKeys); }
  importDevices({ from, to }) { return this.registry.importDevicesFromBlob(from, to); }
  transfers() { return this.body(this.registry.listJobs()); }
  transfer({ jobId }) { return this.registry.getJob(jobId); }
  cancelTransfer({ jobId }) { return this.registry.cancelJob(jobId); }

  // What import and export jobs read and write, by the URL of the container.
  async blob({ container, name }) {
    return (await new ContainerClient(container).getBlockBlobClient(name).downloadToBuffer()).toString();
  }

  async putBlob({ container, name, text }) {
    await new ContainerClient(container).getBlockBlobClient(name).upload(text, Buffer.byteLength(text));
  }

  async digitalTwin({ deviceId }) {
    const { _response, ...twin } = await this.twins.getDigitalTwin(deviceId);
    return { twin, etag: _response.parsedHeaders.eTag };
  }

  // The SDK has headers for callbacks alone here.
  updateDigitalTwin({ deviceId, patch, etag }) {
    return new Promise((resolve, reject) => {
      this.twins.updateDigitalTwin(deviceId, patch, etag, (err, _, response) => {
        if (err) return reject(err);
        const { eTag, location } = response.parsedHeaders;
        resolve({ etag: eTag, location });
      });
    });
  }

  async command({ deviceId, component, name, payload, options }) {
    const { body, xMsCommandStatuscode, xMsRequestId } = await (component
      ? this.twins.invokeComponentCommand(deviceId, component, name, payload, options)
      : this.twins.invokeCommand(deviceId, name, payload, options));
    return { payload: body, status: xMsCommandStatuscode, request: xMsRequestId };
  }
}

module.exports = { Office };
