package hub_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
)

func TestConnectTakesEveryUserName(t *testing.T) {
	for name, user := range map[string]string{
		"Embedded C":               "localhost/dev-1/?api-version=2020-09-30&DeviceClientType=azsdk-c%2F1.5.0",
		"Node":                     "localhost/dev-1/?api-version=2021-04-12&model-id=dtmi:a:b;1&DeviceClientType=azure-iot-device%2F1.18.4",
		"Python":                   "localhost/dev-1/?api-version=2019-10-01&DeviceClientType=azure-iot-device%2F2.12.0",
		"the Go library without ?": "localhost/dev-1/api-version=2020-09-30&model-id=dtmi%3Aa%3Ab%3B1",
		"parameters in any order":  "localhost/dev-1/?x=y&DeviceClientType=z&api-version=2018-06-30&",
		"another host name":        "gateway.example/dev-1/?api-version=2021-04-12",
		"a preview version":        "localhost/dev-1/?api-version=2019-07-01-preview",
		"a chain of trust of one":  "localhost/dev-1/?api-version=2020-09-30&auth-chain=dev-1",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				connect(t, h, dev, func(m *mqtt.Connect) { m.UserName = []byte(user) }).ping()
				if !h.Connected(dev) {
					t.Error("the hub does not know of the connection")
				}
			})
		})
	}
}

func TestConnectTakesTheOldUserNameOfModules(t *testing.T) {
	const user = "localhost/dev-1/mod/api-version=2017-06-30/DeviceClientType=Microsoft.Azure.Devices.Client/1.5.1-preview-003"
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		connect(t, h, mod, func(m *mqtt.Connect) { m.UserName = []byte(user) }).ping()
	})
}

func TestConnectWithoutAPIVersionIsAnOption(t *testing.T) {
	bubble(t, &hub.Config{AllowNoAPIVersion: true}, func(t *testing.T, h *hub.Hub) {
		for _, user := range []string{"localhost/dev-1", "localhost/dev-1/?x=y"} {
			connect(t, h, dev, func(m *mqtt.Connect) { m.UserName = []byte(user) }).ping()
		}
	})
}

func TestConnectWithPolicyTokenAndSecondaryKey(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		in := time.Now().Add(time.Hour)
		connect(t, h, dev, func(m *mqtt.Connect) {
			m.Password = password(token(policyKey(t, h, "device"), "localhost", "device", in))
		}).ping()
		d, err := h.Device(mod)
		if err != nil {
			t.Fatal(err)
		}
		connect(t, h, mod, func(m *mqtt.Connect) {
			m.Password = password(token(d.SecondaryKey, audience(mod), "", in))
		}).ping()
	})
}

func TestConnectRefusals(t *testing.T) {
	type change func(t *testing.T, h *hub.Hub, m *mqtt.Connect)
	key := func(t *testing.T, h *hub.Hub, id hubwire.Identity) hub.Secret {
		d, err := h.Device(id)
		if err != nil {
			t.Fatal(err)
		}
		return d.PrimaryKey
	}
	tests := []struct {
		name string
		do   change
		code mqtt.ReturnCode
	}{
		{"the wrong key", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) {
			m.Password = password(token(key(t, h, other), audience(dev), "", time.Now().Add(time.Hour)))
		}, mqtt.NotAuthorized},
		{"an expired token", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) {
			m.Password = password(token(key(t, h, dev), audience(dev), "", time.Now().Add(-6*time.Minute)))
		}, mqtt.NotAuthorized},
		{"another device's token", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) {
			m.Password = password(token(key(t, h, other), audience(other), "", time.Now().Add(time.Hour)))
		}, mqtt.NotAuthorized},
		{"a module's token for its device", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) {
			m.Password = password(token(key(t, h, mod), audience(mod), "", time.Now().Add(time.Hour)))
		}, mqtt.NotAuthorized},
		{"a policy without the right to connect", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) {
			m.Password = password(token(policyKey(t, h, "service"), "localhost", "service", time.Now().Add(time.Hour)))
		}, mqtt.NotAuthorized},
		{"a token that is none", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) { m.Password = password("secret") }, mqtt.NotAuthorized},
		{"no password and no certificate", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) { m.Password = mqtt.Secret{} }, mqtt.NotAuthorized},
		{"an empty password and no certificate", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) { m.Password = password("") }, mqtt.NotAuthorized},
		{"no user name", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) { m.UserName, m.Password = nil, mqtt.Secret{} }, mqtt.NotAuthorized},
		{"a user name of too few levels", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) {
			m.UserName = []byte("localhost/dev-1?&api-version=2021-04-12")
		}, mqtt.NotAuthorized},
		{"a user name without api-version", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) { m.UserName = []byte("localhost/dev-1/?x=y") }, mqtt.NotAuthorized},
		{"a client id that is not the user name's", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) { m.ClientID = []byte("dev-2") }, mqtt.NotAuthorized},
		{"a client id in other letters", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) { m.ClientID = []byte("DEV-1") }, mqtt.NotAuthorized},
		{"another who speaks for the device", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) {
			m.UserName = append(m.UserName, "&auth-chain=dev-1%3Bedge-1"...)
		}, mqtt.NotAuthorized},
		{"a chain of trust that begins with another", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) {
			m.UserName = append(m.UserName, "&auth-chain=dev-2"...)
		}, mqtt.NotAuthorized},
		{"an unknown device", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) {
			m.ClientID, m.UserName = []byte("x"), []byte("localhost/x/?api-version=2021-04-12")
		}, mqtt.NotAuthorized},
		{"an unknown module", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) {
			m.ClientID, m.UserName = []byte("dev-1/x"), []byte("localhost/dev-1/x/?api-version=2021-04-12")
		}, mqtt.NotAuthorized},
		{"a disabled device", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) {
			if _, err := h.Update(t.Context(), &hub.Device{Identity: dev, Disabled: true, PrimaryKey: key(t, h, dev)}, ""); err != nil {
				t.Fatal(err)
			}
		}, mqtt.NotAuthorized},
		{"a will on another device's topic", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) {
			m.Will.Topic = []byte("devices/dev-2/messages/events/")
		}, mqtt.NotAuthorized},
		{"a will on a topic that is not telemetry's", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) { m.Will.Topic = []byte("$iothub/twin/GET/?$rid=1") }, mqtt.NotAuthorized},
		{"a will that the hub would not take as telemetry", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) {
			m.Will.Topic = []byte(telemetryTopic + "$.mid=" + strings.Repeat("x", hubwire.MaxMessageIDLength+1))
		}, mqtt.NotAuthorized},
		{"a will with a property that has no name", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) { m.Will.Topic = []byte(telemetryTopic + "=v") }, mqtt.NotAuthorized},
		{"a will at QoS 2", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) {
			m.Will.Topic, m.Will.QoS = []byte("devices/dev-1/messages/events/"), mqtt.ExactlyOnce
		}, mqtt.NotAuthorized},
		{"an empty client id that wants a kept session", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) { m.ClientID = nil }, mqtt.BadClientID},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				m := connectPacket(t, h, dev)
				tt.do(t, h, m)
				p := open(t, h, nil)
				p.write(m)
				if ack := p.connack(); ack.Code != tt.code || ack.SessionPresent {
					t.Errorf("CONNACK %+v, want code %d", ack, tt.code)
				}
				p.closed()
				if h.Connected(dev) {
					t.Error("the device is connected")
				}
				if evs := events(t, h); len(evs) != 0 {
					t.Errorf("a will was published: %+v", evs[0])
				}
			})
		})
	}
}

func TestConnectRefusesOtherProtocolLevels(t *testing.T) {
	for name, level := range map[string]byte{"MQTT 3.1": 3, "MQTT 5": 5} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				b := connectPacket(t, h, dev).AppendTo(nil)
				i := strings.Index(string(b), "MQTT") + 4
				b[i] = level
				p := open(t, h, nil)
				p.raw(b)
				if ack := p.connack(); ack.Code != mqtt.BadProtocol {
					t.Errorf("CONNACK %+v", ack)
				}
				p.closed()
			})
		})
	}
}

func TestWhatIsNoConnectClosesTheConnection(t *testing.T) {
	for name, b := range map[string][]byte{
		"garbage":                             []byte("GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: somebody who looks around everywhere\r\n\r\n"),
		"a reserved packet type":              {0xf0, 0},
		"PINGREQ":                             {0xc0, 0},
		"PUBLISH":                             (&mqtt.Publish{Topic: []byte("devices/dev-1/messages/events/")}).AppendTo(nil),
		"DISCONNECT":                          {0xe0, 0},
		"a CONNECT with reserved flags":       {0x11, 0},
		"a CONNECT of another protocol":       {0x10, 16, 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 4, 2, 0, 0, 0, 2, 'i', 'd'},
		"a CONNECT that announces too much":   {0x10, 0xff, 0xff, 0xff, 0x7f},
		"a remaining length that has no end":  {0x10, 0xff, 0xff, 0xff, 0xff, 0xff},
		"a CONNECT with a client id cut off":  {0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 9, 'i', 'd'},
		"a CONNECT with a client id not UTF8": {0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 2, 0xff, 0xfe},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				p := open(t, h, nil)
				p.raw(b)
				start := time.Now()
				p.closed()
				if took := time.Since(start); took != 0 {
					t.Errorf("it took the hub %v", took)
				}
			})
		})
	}
}

// TestEveryPrefixOfConnect ends the stream inside CONNECT, everywhere.
func TestEveryPrefixOfConnect(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		whole := connectPacket(t, h, dev).AppendTo(nil)
		for n := range whole {
			p := open(t, h, nil)
			if n > 0 {
				p.raw(whole[:n])
			}
			p.cut()
		}
		synctest.Wait()
		if h.Connected(dev) {
			t.Error("a part of CONNECT connected the device")
		}
	})
}

func TestPacketsOfServersCloseTheConnection(t *testing.T) {
	for name, k := range map[string]packet{
		"CONNACK": &mqtt.Connack{}, "SUBACK": &mqtt.Suback{ID: 1, Codes: []byte{0}}, "UNSUBACK": &mqtt.Unsuback{ID: 1},
		"PINGRESP": &mqtt.Pingresp{}, "PUBREC": &mqtt.Pubrec{ID: 1}, "PUBREL": &mqtt.Pubrel{ID: 1}, "PUBCOMP": &mqtt.Pubcomp{ID: 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				p := connect(t, h, dev, nil)
				p.write(k)
				p.closed()
			})
		})
	}
}

func TestPipelinedPacketsAreAnsweredInOrder(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p := open(t, h, nil)
		p.write(connectPacket(t, h, dev),
			subscribePacket(t, 1, subscription{"$iothub/twin/res/#", 0}),
			&mqtt.Publish{Topic: []byte("devices/dev-1/messages/events/"), QoS: 1, ID: 2},
			&mqtt.Publish{Topic: []byte("$iothub/twin/GET/?$rid=3"), QoS: 1, ID: 3},
			&mqtt.Pingreq{})
		p.connack()
		p.suback(1)
		p.puback(2)
		p.puback(3)
		if m := p.publish(); string(m.Topic) != "$iothub/twin/res/200/?$rid=3" {
			t.Errorf("topic %q", m.Topic)
		}
		p.read(mqtt.TypePingresp)
	})
}

func TestSilence(t *testing.T) {
	tests := []struct {
		name      string
		keepAlive uint16
		want      time.Duration
	}{
		{"1.5 times the keep-alive", 10, 15 * time.Second},
		{"1.5 times an odd keep-alive", 1, 1500 * time.Millisecond},
		{"the largest useful keep-alive", 1177, 1765500 * time.Millisecond},
		{"the cap for a larger one", 1200, 1767 * time.Second},
		{"the cap for none", 0, 1767 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				p := connect(t, h, dev, func(m *mqtt.Connect) { m.KeepAlive = tt.keepAlive })
				time.Sleep(tt.want - time.Millisecond)
				p.ping() // starts it anew
				start := time.Now()
				p.ends()
				if took := time.Since(start); took != tt.want {
					t.Errorf("closed after %v, want %v", took, tt.want)
				}
			})
		})
	}
}

func TestTakeOver(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		first := connect(t, h, dev, nil)
		bystander := connect(t, h, other, nil)
		for range 3 {
			next := connect(t, h, dev, nil)
			first.closed()
			next.ping()
			first = next
		}
		bystander.ping()
		if !h.Connected(dev) || !h.Disconnect(dev) {
			t.Error("the hub does not know of the last connection")
		}
		first.closed()
		synctest.Wait()
		if h.Connected(dev) || h.Disconnect(dev) {
			t.Error("the hub still knows of a connection")
		}
		bystander.ping()
	})
}
