"""judge.py lets a Go test drive uAMQP, the AMQP client that Microsoft's SDKs for
Python and C stand on, as Debian has it. The protocol is that of judge.js: one
command a line, one answer a line, in JSON. Bodies are base64.
"""

import base64
import json
import os
import sys

import uamqp
from uamqp import address, authentication, constants, errors

HOST = "localhost"
CA = os.environ["HUBWIRE_CA_FILE"]
TRANSPORTS = {"amqp": uamqp.TransportType.Amqp, "amqp-ws": uamqp.TransportType.AmqpOverWebsocket}


def octets(text):
    return base64.b64decode(text) if text else b""


def words(value):
    """value as JSON can have it."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict):
        return {words(k): words(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [words(v) for v in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


class Agent:
    """One identity, whose token goes to $cbs, or into SASL PLAIN if it has a username."""

    def __init__(self, args):
        self.args = args
        self.receiver = None
        self.received = []

    def auth(self):
        transport = TRANSPORTS[self.args["transport"]]
        if self.args.get("username"):
            return authentication.SASLPlain(HOST, self.args["username"], self.args["password"], verify=CA, transport_type=transport)
        audience = self.args["audience"]
        return authentication.SASTokenAuth(
            audience, "amqps://" + HOST, self.args["token"], expires_at=self.args["expires"], verify=CA, transport_type=transport,
            retry_policy=authentication.TokenRetryPolicy(retries=0))

    def send(self, args):
        """send tells what became of each message, on a connection of its own."""
        client = uamqp.SendClient("amqps://" + HOST + args["target"], auth=self.auth(), error_policy=errors.ErrorPolicy(max_retries=0))
        messages = [self.message(m) for m in args["messages"]]
        if args.get("batch"):
            whole = uamqp.message.BatchMessage(data=messages, multi_messages=False)
            messages = whole.gather()
        client.queue_message(*messages)
        try:
            return [state.name for state in client.send_all_messages(close_on_done=False)]
        finally:
            client.close()

    @staticmethod
    def message(m):
        properties = uamqp.message.MessageProperties(
            message_id=m.get("messageId"), correlation_id=m.get("correlationId"), to=m.get("to"),
            content_type=m.get("contentType"), content_encoding=m.get("contentEncoding"), user_id=m.get("userId"))
        return uamqp.Message(octets(m.get("body")), properties=properties, application_properties=m.get("application") or None, body_type=uamqp.MessageBodyType.Data)

    def listen(self, args):
        source = address.Source("amqps://" + HOST + args["source"])
        if args.get("filter"):
            source.set_filter(args["filter"])
        self.receiver = uamqp.ReceiveClient(source, auth=self.auth(), auto_complete=False, prefetch=args.get("prefetch", 10), error_policy=errors.ErrorPolicy(max_retries=0))
        self.receiver.open()
        while not self.receiver.client_ready():
            self.receiver.do_work()

    def receive(self, args):
        """receive waits for a number of messages, and keeps them to be settled."""
        out = []
        while len(out) < args["n"]:
            for m in self.receiver.receive_message_batch(max_batch_size=1, timeout=args["timeout"]):
                self.received.append(m)
                p = m.properties or uamqp.message.MessageProperties()  # of others in the partition, which may have none
                out.append({
                    "body": base64.b64encode(b"".join(m.get_data())).decode(), "annotations": words(m.annotations), "application": words(m.application_properties),
                    "messageId": words(p.message_id), "correlationId": words(p.correlation_id), "to": words(p.to),
                    "contentType": words(p.content_type), "contentEncoding": words(p.content_encoding), "userId": words(p.user_id),
                })
        return out

    def settle(self, args):
        done = getattr(self.received[args["index"]], args["how"])()
        self.receiver.do_work()
        return done

    def manage(self, args):
        """manage asks the node $management."""
        request = uamqp.Message(application_properties={"name": args["name"]})
        client = uamqp.AMQPClient("amqps://" + HOST + "/" + args["name"], auth=self.auth(), error_policy=errors.ErrorPolicy(max_retries=0))
        client.open()
        try:
            answer = client.mgmt_request(
                request, constants.READ_OPERATION, op_type=b"com.microsoft:eventhub", status_code_field=b"status-code", description_fields=b"status-description")
            return words(answer.get_data())
        finally:
            client.close()

    def close(self, _):
        if self.receiver:
            self.receiver.close()


def write(line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main():
    agents = {}
    for text in sys.stdin:
        command = json.loads(text)
        name, do, args = command["client"], command["do"], command.get("args")
        try:
            if do == "new agent":
                agents[name], result = Agent(args), None
            else:
                result = getattr(agents[name], do)(args)
            write({"id": command["id"], "result": result})
        except Exception as err:  # whatever it is, the test is told
            write({"id": command["id"], "error": {"name": type(err).__name__, "message": str(err)}})


main()
