package hub_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	goamqp "github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/hub"
)

// manage asks $management at an address, and returns the answer.
func manage(t testing.TB, s *goamqp.Session, address string, id any, request map[string]any) *goamqp.Message {
	t.Helper()
	in := receiver(t, s, address, &goamqp.ReceiverOptions{TargetAddress: "client-1"})
	out := sender(t, s, address, nil)
	m := &goamqp.Message{Properties: &goamqp.MessageProperties{MessageID: id, ReplyTo: new(string)}, ApplicationProperties: request}
	*m.Properties.ReplyTo = "client-1"
	if err := out.Send(t.Context(), m, nil); err != nil {
		t.Fatal(err)
	}
	answer := receive(t, in)
	if err := in.AcceptMessage(t.Context(), answer); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(id, answer.Properties.CorrelationID); diff != "" {
		t.Errorf("correlation id (-want +got):\n%s", diff)
	}
	for _, err := range []error{in.Close(t.Context()), out.Close(t.Context())} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return answer
}

func read(kind, name string) map[string]any {
	return map[string]any{"operation": "READ", "type": kind, "name": name, "security_token": "Bearer x"}
}

func readPartition(name, partition string) map[string]any {
	m := read("com.microsoft:partition", name)
	m["partition"] = partition
	return m
}

func TestAMQPManagement(t *testing.T) {
	bubble(t, &hub.Config{Partitions: 3}, func(t *testing.T, h *hub.Hub) {
		began := time.Now().UTC()
		s := serviceSession(t, h)
		for address, id := range map[string]any{
			"$management": "text", "localhost/$management": uint64(7), "amqps://localhost/LocalHost/$management": goamqp.UUID{1, 2},
		} {
			m := manage(t, s, address, id, read("com.microsoft:eventhub", "localhost"))
			if m.ApplicationProperties["status-code"] != int32(200) || m.ApplicationProperties["status-description"] != "OK" {
				t.Errorf("%s: %v", address, m.ApplicationProperties)
			}
			if diff := cmp.Diff(map[string]any{
				"name": "localhost", "type": "com.microsoft:eventhub", "created_at": began,
				"partition_count": int32(3), "partition_ids": []string{"0", "1", "2"}, "georeplication_factor": int32(1),
			}, m.Value); diff != "" {
				t.Errorf("%s (-want +got):\n%s", address, diff)
			}
		}
		emit(t, h, 3)
		ev := events(t, h)[0]
		m := manage(t, s, "$management", "1", readPartition("localhost", strconv.Itoa(ev.Partition)))
		got, ok := m.Value.(map[string]any)
		if !ok {
			t.Fatalf("the answer is %v", m.Value)
		}
		offset, ok := got["last_enqueued_offset"].(string)
		delete(got, "last_enqueued_offset")
		if diff := cmp.Diff(map[string]any{
			"name": "localhost", "type": "com.microsoft:partition", "partition": strconv.Itoa(ev.Partition), "begin_sequence_number": int64(0),
			"last_enqueued_sequence_number": int64(2), "last_enqueued_time_utc": began.Add(2 * time.Second), "is_partition_empty": false,
		}, got); diff != "" || !ok {
			t.Errorf("offset %q, partition (-want +got):\n%s", offset, diff)
		}
		// One may go on behind what was read so.
		latest := receiver(t, s, fmt.Sprintf("localhost/ConsumerGroups/$Default/Partitions/%d", ev.Partition), from("x-opt-offset > '"+offset+"'"))
		nothing(t, latest, time.Minute)
		empty := manage(t, s, "$management", "1", readPartition("localhost", strconv.Itoa((ev.Partition+1)%3)))
		if got := empty.Value.(map[string]any); got["is_partition_empty"] != true || got["last_enqueued_sequence_number"] != int64(-1) || got["last_enqueued_offset"] != "-1" {
			t.Errorf("an empty partition is %v", got)
		}
	})
}

func TestAMQPManagementRefuses(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		s := serviceSession(t, h)
		for _, tt := range []struct {
			name    string
			request map[string]any
			want    int32
		}{
			{"another hub", read("com.microsoft:eventhub", "x"), 404},
			{"an unknown partition", readPartition("localhost", "4"), 404},
			{"a partition that is no number", readPartition("localhost", "x"), 404},
			{"a partition by another spelling", readPartition("localhost", "01"), 404},
			{"a partition with a sign", readPartition("localhost", "-0"), 404},
			{"no partition", read("com.microsoft:partition", "localhost"), 400},
			{"another type", read("com.microsoft:consumergroup", "localhost"), 400},
			{"nothing", nil, 400},
		} {
			m := manage(t, s, "$management", "1", tt.request)
			if got := m.ApplicationProperties["status-code"]; got != tt.want || m.ApplicationProperties["status-description"] == "" {
				t.Errorf("%s: %v", tt.name, m.ApplicationProperties)
			}
		}
		_, err := s.NewReceiver(t.Context(), "x/$management", nil)
		wantCondition(t, "the node of another hub", err, "amqp:not-found")
		out := sender(t, s, "$management", nil)
		wantCondition(t, "a request without a link for the answer", out.Send(t.Context(), goamqp.NewMessage(nil), nil), "amqp:precondition-failed")
	})
}

func TestAMQPRedirect(t *testing.T) {
	bubble(t, &hub.Config{HostName: "my-hub.azure-devices.net"}, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		if status := c.put("x", token(policyKey(t, h, "service"), "my-hub.azure-devices.net/messages", "service", time.Now().Add(time.Hour))); status != 200 {
			t.Fatalf("status %d", status)
		}
		s := c.session()
		for address, want := range map[string]string{
			"messages/events/": "amqps://my-hub.azure-devices.net:5671/my-hub/",
			"/messages/events/ConsumerGroups/$Default/Partitions/0":             "amqps://my-hub.azure-devices.net:5671/my-hub/ConsumerGroups/$Default/Partitions/0",
			"amqps://my-hub.azure-devices.net/messages/events/$management":      "amqps://my-hub.azure-devices.net:5671/my-hub/$management",
			"amqps://my-hub.azure-devices.net:5671/messages/events/$management": "amqps://my-hub.azure-devices.net:5671/my-hub/$management",
		} {
			_, err := s.NewReceiver(t.Context(), address, nil)
			wantCondition(t, address, err, "amqp:link:redirect")
			var e *goamqp.Error
			if !errors.As(err, &e) {
				continue
			}
			if diff := cmp.Diff(map[string]any{
				"hostname": "my-hub.azure-devices.net", "network-host": "my-hub.azure-devices.net", "port": uint32(5671), "address": want,
			}, e.Info); diff != "" {
				t.Errorf("%s (-want +got):\n%s", address, diff)
			}
		}
		_, err := s.NewSender(t.Context(), "messages/events/$management", nil)
		wantCondition(t, "a sender", err, "amqp:link:redirect")
		c = dialAMQP(t, h, nil)
		if status := c.put("x", token(policyKey(t, h, "service"), "my-hub.azure-devices.net/devices", "service", time.Now().Add(time.Hour))); status != 200 {
			t.Fatalf("status %d", status)
		}
		_, err = c.session().NewReceiver(t.Context(), "messages/events/", nil)
		wantCondition(t, "a token for something else", err, "amqp:unauthorized-access")
	})
}

func TestAMQPEventsInPlace(t *testing.T) {
	eventBubble(t, hub.Config{NoRedirect: true}, func(t *testing.T, h *hub.Hub) {
		emit(t, h, 1)
		c := dialAMQP(t, h, nil)
		if status := c.put("x", token(policyKey(t, h, "service"), "localhost/messages/events", "service", time.Now().Add(time.Hour))); status != 200 {
			t.Fatalf("status %d", status)
		}
		s := c.session()
		receive(t, receiver(t, s, "/messages/events/ConsumerGroups/$Default/Partitions/0", nil))
		m := manage(t, s, "messages/events/$management", "1", read("com.microsoft:eventhub", "localhost"))
		if m.ApplicationProperties["status-code"] != int32(200) {
			t.Errorf("the answer has %v", m.ApplicationProperties)
		}
		_, err := s.NewReceiver(t.Context(), "messages/events/", nil)
		wantCondition(t, "no partition", err, "amqp:not-found")
		c = dialAMQP(t, h, nil)
		c.loginPolicy(h, "device")
		_, err = c.session().NewReceiver(t.Context(), "/messages/events/ConsumerGroups/$Default/Partitions/0", nil)
		wantCondition(t, "without the right", err, "amqp:unauthorized-access")
	})
}

// textToken is a token as Event Hubs clients make it: by the bytes of the key's text.
func textToken(key hub.Secret, resource, policy string) string {
	sr, se := strings.ToLower(url.QueryEscape(resource)), strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte(sr + "\n" + se))
	return "SharedAccessSignature sr=" + sr + "&sig=" + url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil))) + "&se=" + se + "&skn=" + policy
}

// TestAMQPEventHubCredentials has the ways to log in of Event Hubs clients.
func TestAMQPEventHubCredentials(t *testing.T) {
	const partition = "localhost/ConsumerGroups/$Default/Partitions/0"
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		owner, reader := policyKey(t, h, "iothubowner"), policyKey(t, h, "registryRead")
		key := func(policy string, key hub.Secret) *goamqp.ConnOptions {
			return &goamqp.ConnOptions{SASLType: goamqp.SASLTypePlain(policy, key.Reveal())}
		}
		for _, tt := range []struct {
			name     string
			o        *goamqp.ConnOptions
			tokens   []string
			attaches string
			ok       bool
		}{
			{"SASL PLAIN with a key", key("iothubowner", owner), nil, partition, true},
			{"SASL PLAIN with a key, to $management", key("service", policyKey(t, h, "service")), nil, "$management", true},
			{"SASL PLAIN without the right", key("registryRead", reader), nil, partition, false},
			{"SASL PLAIN with a policy's token", &goamqp.ConnOptions{
				SASLType: goamqp.SASLTypePlain("iothubowner@sas.root.localhost", token(owner, "localhost", "iothubowner", time.Now().Add(time.Hour))),
			}, nil, partition, true},
			{"the audience of azeventhubs", &goamqp.ConnOptions{SASLType: goamqp.SASLTypeAnonymous()},
				[]string{textToken(owner, "amqps://localhost/localhost/ConsumerGroups/$Default/Partitions/0", "iothubowner")}, partition, true},
			{"the audience of JavaScript", nil, []string{textToken(owner, "sb://localhost/localhost/ConsumerGroups/$Default/Partitions/0", "iothubowner")}, partition, true},
			{"the audience of an entity", nil, []string{textToken(owner, "https://localhost/localhost", "iothubowner")}, partition, true},
			{"the audience of the host", nil, []string{textToken(owner, "sb://localhost/", "iothubowner")}, partition, true},
			{"the audience of $management", nil, []string{textToken(owner, "sb://localhost/localhost/$management", "iothubowner")}, "localhost/$management", true},
			{"the audience of $management without an entity", nil, []string{textToken(owner, "amqps://localhost/$management", "iothubowner")}, "$management", true},
			{"a token of the hub", nil, []string{token(owner, "localhost", "iothubowner", time.Now().Add(time.Hour))}, partition, true},
			{"the audience of another partition", nil, []string{textToken(owner, "sb://localhost/localhost/ConsumerGroups/$Default/Partitions/1", "iothubowner")}, partition, false},
			{"the audience of another host", nil, []string{textToken(owner, "sb://other/localhost", "iothubowner")}, partition, false},
			{"a policy without the right", nil, []string{textToken(reader, "sb://localhost/localhost", "registryRead")}, partition, false},
			{"nothing", nil, nil, partition, false},
		} {
			c := dialAMQP(t, h, tt.o)
			for _, token := range tt.tokens {
				if status := c.put("x", token); status != 200 {
					t.Errorf("%s: put-token %d", tt.name, status)
				}
			}
			_, err := c.session().NewReceiver(t.Context(), tt.attaches, nil)
			if tt.ok && err != nil {
				t.Errorf("%s: %v", tt.name, err)
			} else if !tt.ok {
				wantCondition(t, tt.name, err, "amqp:unauthorized-access")
			}
			c.conn.Close()
		}
	})
}

// TestAMQPServiceRights has every link of a service under every policy, and under a device's token.
func TestAMQPServiceRights(t *testing.T) {
	receives := []string{feedbackAddress, filesAddress, "localhost/ConsumerGroups/$Default/Partitions/0", "$management", "localhost/$management"}
	sends := []string{deviceBoundAddress, "$management"}
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		for policy, ok := range map[string]bool{"iothubowner": true, "service": true, "device": false, "registryRead": false, "registryReadWrite": false, "": false} {
			c := dialAMQP(t, h, nil)
			if policy != "" {
				c.loginPolicy(h, policy)
			} else {
				c.login(h, dev)
			}
			s := c.session()
			check := func(address string, err error) {
				t.Helper()
				if ok && err != nil {
					t.Errorf("%s as %q: %v", address, policy, err)
				} else if !ok {
					wantCondition(t, address+" as "+policy, err, "amqp:unauthorized-access")
				}
			}
			for _, address := range receives {
				_, err := s.NewReceiver(t.Context(), address, nil)
				check(address, err)
			}
			for _, address := range sends {
				_, err := s.NewSender(t.Context(), address, nil)
				check(address, err)
			}
		}
	})
}

// TestAMQPServiceTokenExpires has the links of a service outlive its token, and renews one.
func TestAMQPServiceTokenExpires(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		put := func(d time.Duration) {
			t.Helper()
			if status := c.put("localhost", token(policyKey(t, h, "service"), "localhost", "service", time.Now().Add(d))); status != 200 {
				t.Fatalf("status %d", status)
			}
		}
		put(time.Hour)
		s := c.session()
		fb := receiver(t, s, feedbackAddress, nil)
		evs := receiver(t, s, "localhost/ConsumerGroups/$Default/Partitions/0", from(""))
		out := sender(t, s, deviceBoundAddress, nil)
		time.Sleep(50 * time.Minute)
		put(time.Hour)
		nothing(t, fb, 50*time.Minute) // longer than the first token and its grace
		if err := out.Send(t.Context(), toDevice("/devices/dev-1/messages/devicebound", "", ""), nil); err != nil {
			t.Errorf("after a renewal: %v", err)
		}
		began := time.Now()
		_, err := fb.Receive(t.Context(), nil)
		wantCondition(t, "feedback", err, "amqp:unauthorized-access")
		if d := time.Since(began); d < 10*time.Minute || d > 20*time.Minute {
			t.Errorf("it ended after %v", d)
		}
		_, err = evs.Receive(t.Context(), nil)
		wantCondition(t, "events", err, "amqp:unauthorized-access")
		synctest.Wait() // the hub ends one link after the other
		err = out.Send(t.Context(), toDevice("/devices/dev-1/messages/devicebound", "", ""), nil)
		wantCondition(t, "sending", err, "amqp:unauthorized-access")
	})
}
