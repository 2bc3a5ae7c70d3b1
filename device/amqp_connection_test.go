package device_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp/links"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
)

// shared is a bench whose transport is a connection for many, with the number of connections that it took.
type shared struct {
	*bench
	conn    *device.AMQPConnection
	dialled atomic.Int32
	last    atomic.Pointer[net.Conn]
}

// overShared runs a test with each kind of shared connection.
func overShared(t *testing.T, cfg hub.Config, test func(*testing.T, *shared)) {
	t.Helper()
	for _, tr := range []device.Transport{device.AMQP(nil), device.AMQPWebSocket(nil)} {
		t.Run(tr.String(), func(t *testing.T) {
			over(t, tr, cfg, func(t *testing.T, b *bench) {
				s := &shared{bench: b}
				o := b.options(func(o *device.Options) {
					o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
						nc, err := b.hub.Dial(ctx, network, addr)
						s.dialled.Add(1)
						s.last.Store(&nc)
						return nc, err
					}
				})
				var err error
				if s.conn, err = device.NewAMQPConnection(b.hub.HostName(), tr, o); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := s.conn.Close(); err != nil {
						t.Errorf("close of the connection: %v", err)
					}
				})
				b.transport = s.conn.Transport()
				test(t, s)
			})
		})
	}
}

// expectDials fails the test unless there were so many connections.
func (s *shared) expectDials(want int32) {
	s.t.Helper()
	if got := s.dialled.Load(); got != want {
		s.t.Errorf("there were %d connections, want %d", got, want)
	}
}

func member(i int) string { return fmt.Sprintf("gw-%03d", i) }

// fleet opens Clients for so many devices, and remembers their states.
func (s *shared) fleet(n int) ([]*device.Client, []*stateLog) {
	s.t.Helper()
	clients, logs := make([]*device.Client, n), make([]*stateLog, n)
	var all sync.WaitGroup
	for i := range clients {
		cs := hubtest.Device(s.t, s.hub, member(i))
		logs[i] = new(stateLog)
		all.Go(func() { clients[i] = s.dial(cs, logs[i].watched) })
	}
	all.Wait()
	return clients, logs
}

// everyFeature uses all that a device has.
func (s *shared) everyFeature(c *device.Client) error {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Hour)
	defer cancel()
	id := c.Identity()
	if err := c.Send(ctx, &hubwire.Message{Body: []byte(id.DeviceID)}); err != nil {
		return err
	}
	if err := s.hub.SendC2D(ctx, id, &hubwire.Message{Body: []byte("for " + id.DeviceID)}); err != nil {
		return err
	}
	m, err := c.Receive(ctx)
	if err != nil {
		return err
	}
	if got := string(m.Body); got != "for "+id.DeviceID {
		return fmt.Errorf("%s received %q", id, got)
	}
	if err := m.Complete(ctx); err != nil {
		return err
	}
	if _, err := c.Report(ctx, map[string]string{"name": id.DeviceID}); err != nil {
		return err
	}
	if twin, err := c.Twin(ctx); err != nil || !strings.Contains(string(twin.Reported.JSON), id.DeviceID) {
		return fmt.Errorf("the twin of %s: %+v, %w", id, twin, err)
	}
	if err := c.HandleMethod(ctx, "who", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		return hubwire.MethodResponse{Status: 200, Payload: []byte(`"` + id.DeviceID + `"`)}, nil
	}); err != nil {
		return err
	}
	answer, err := s.hub.Invoke(ctx, id, hubwire.MethodRequest{Name: "who"}, nil)
	if err != nil {
		return err
	}
	if got := string(answer.Payload); got != `"`+id.DeviceID+`"` {
		return fmt.Errorf("%s answered %s", id, got)
	}
	return nil
}

func TestAThousandDevicesShareAConnection(t *testing.T) {
	n := 1000
	if testkit.RaceEnabled || testing.Short() {
		n = 100
	}
	overShared(t, hub.Config{}, func(t *testing.T, s *shared) {
		clients, _ := s.fleet(n)
		s.expectDials(1)
		for i := 0; i < n; i += max(1, n/50) {
			if err := s.everyFeature(clients[i]); err != nil {
				t.Error(err)
			}
		}
		for _, c := range clients {
			if err := c.SendAsync(t.Context(), &hubwire.Message{}, nil); err != nil {
				t.Error(err)
			}
		}
		s.expectDials(1)
	})
}

func TestAllComeBackWhenTheSharedConnectionIsLost(t *testing.T) {
	const n = 50
	overShared(t, hub.Config{}, func(t *testing.T, s *shared) {
		clients, logs := s.fleet(n)
		s.cut()
		for i, c := range clients {
			if err := s.everyFeature(c); err != nil {
				t.Error(err)
			}
			synctest.Wait() // until the hook has been told
			if got, _ := logs[i].told(); !cmp.Equal(got, []device.State{device.Connected, device.Connecting, device.Connected}) {
				t.Errorf("the states of %s: %v", c.Identity(), got)
			}
		}
		s.expectDials(2)
	})
}

// cut ends the connection, as a network does.
func (s *shared) cut() {
	(*s.last.Load()).Close()
	synctest.Wait()
}

func TestWhatHappensToOneDeviceLeavesTheOthersUntouched(t *testing.T) {
	const victim = 1
	id := hubwire.Identity{DeviceID: member(victim)}
	for _, c := range []struct {
		name string
		do   func(t *testing.T, s *shared, c *device.Client)
		ends error // what the Client ends with; nil: it goes on
	}{
		{"it is closed", func(t *testing.T, s *shared, c *device.Client) {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}, net.ErrClosed},
		{"it is deleted", func(t *testing.T, s *shared, c *device.Client) {
			if err := s.hub.Delete(t.Context(), id); err != nil {
				t.Error(err)
			}
		}, hubwire.Unauthorized},
		{"it is disabled", func(t *testing.T, s *shared, c *device.Client) {
			d, err := s.hub.Device(id)
			if err == nil {
				d.Disabled = true
				_, err = s.hub.Update(t.Context(), d, "")
			}
			if err != nil {
				t.Error(err)
			}
		}, hubwire.Unauthorized},
		{"another connection takes its place", func(t *testing.T, s *shared, c *device.Client) {
			cs, err := s.hub.ConnectionString(id)
			if err != nil {
				t.Fatal(err)
			}
			alone := *s.bench
			alone.transport = device.AMQP(nil)
			rival := alone.dial(cs, nil)
			if err := rival.Send(t.Context(), &hubwire.Message{}); err != nil {
				t.Error(err)
			}
			if err := rival.Close(); err != nil {
				t.Error(err)
			}
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			overShared(t, hub.Config{}, func(t *testing.T, s *shared) {
				clients, logs := s.fleet(5)
				c.do(t, s, clients[victim])
				if c.ends != nil {
					select {
					case <-clients[victim].Done():
					case <-time.After(time.Hour):
						t.Fatal("it goes on")
					}
					if err := clients[victim].Err(); !errors.Is(err, c.ends) {
						t.Errorf("it ended with %v, want %v", err, c.ends)
					}
				}
				for i, other := range clients {
					if i == victim {
						continue
					}
					if err := s.everyFeature(other); err != nil {
						t.Error(err)
					}
					logs[i].check(t, device.Connected)
				}
				s.expectDials(1)
				if c.ends == nil {
					if err := s.everyFeature(clients[victim]); err != nil {
						t.Errorf("of itself: %v", err)
					}
				}
			})
		})
	}
}

func TestATokenThatExpiresCostsItsDeviceAlone(t *testing.T) {
	overShared(t, hub.Config{}, func(t *testing.T, s *shared) {
		clients, logs := s.fleet(3)
		cred, err := device.CredentialsFromConnectionString(s.device)
		if err != nil {
			t.Fatal(err)
		}
		source := cred.Tokens
		asked := 0
		cred.Tokens = tokens(func() (string, time.Time, error) {
			if asked++; asked > 1 {
				return "", time.Time{}, &hubwire.Error{Code: hubwire.Unauthorized, Outcome: hubwire.NotSent, Message: "revoked"}
			}
			return source.Token(t.Context(), s.hub.HostName()+"/devices/"+dev.DeviceID)
		})
		c, err := device.DialCredentials(t.Context(), cred, s.transport, s.options(nil))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		select {
		case <-c.Done():
		case <-time.After(3 * time.Hour):
			t.Fatal("it goes on")
		}
		if !errors.Is(c.Err(), hubwire.Unauthorized) {
			t.Errorf("it ended with %v", c.Err())
		}
		for i, other := range clients {
			if err := s.everyFeature(other); err != nil {
				t.Error(err)
			}
			logs[i].check(t, device.Connected)
		}
		s.expectDials(1)
	})
}

func TestWhoASharedConnectionRefuses(t *testing.T) {
	overShared(t, hub.Config{}, func(t *testing.T, s *shared) {
		first := s.dial(s.device, nil)
		good, err := device.CredentialsFromConnectionString(s.module)
		if err != nil {
			t.Fatal(err)
		}
		certified, elsewhere := good, good
		certified.Tokens, certified.GetClientCertificate = nil, func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return new(tls.Certificate), nil }
		elsewhere.HostName = "other.azure-devices.net"
		for name, cred := range map[string]device.Credentials{"a certificate": certified, "another host": elsewhere} {
			_, err := device.DialCredentials(t.Context(), cred, s.transport, s.options(nil))
			if !errors.Is(err, hubwire.ArgumentInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err = device.Dial(t.Context(), s.device, s.transport, s.options(nil))
		if !errors.Is(err, links.ErrAlreadyOpen) || !errors.Is(err, hubwire.ArgumentInvalid) {
			t.Errorf("a device that is there already: %v", err)
		}
		wrong := strings.Replace(s.module, "SharedAccessKey=", "SharedAccessKey=AAAA", 1)
		if _, err = device.Dial(t.Context(), wrong, s.transport, s.options(nil)); !errors.Is(err, hubwire.Unauthorized) {
			t.Errorf("a wrong key: %v", err)
		}
		if err := s.everyFeature(first); err != nil {
			t.Error(err)
		}
		if err := first.Close(); err != nil {
			t.Error(err)
		}
		again := s.dial(s.device, nil)
		if err := s.everyFeature(again); err != nil {
			t.Errorf("the device that is put on again: %v", err)
		}
		s.expectDials(1)
	})
}

func TestASharedConnectionIsOneOfAMQP(t *testing.T) {
	other, err := device.NewAMQPConnection("h", device.AMQP(nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := device.NewAMQPConnection("h", other.Transport(), nil); !errors.Is(err, hubwire.ArgumentInvalid) || !strings.Contains(err.Error(), "another") {
		t.Errorf("that of another one: %v", err)
	}
	for name, tr := range map[string]device.Transport{"MQTT": device.MQTT(nil), "HTTPS": device.HTTPS(nil), "none": {}} {
		if _, err := device.NewAMQPConnection("h", tr, nil); !errors.Is(err, hubwire.ArgumentInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, host := range []string{"", "h:5671"} {
		if _, err := device.NewAMQPConnection(host, device.AMQP(nil), nil); !errors.Is(err, hubwire.ArgumentInvalid) {
			t.Errorf("host %q: %v", host, err)
		}
	}
}

func TestTheEndOfASharedConnectionIsThatOfItsClients(t *testing.T) {
	overShared(t, hub.Config{}, func(t *testing.T, s *shared) {
		clients, _ := s.fleet(5)
		var y tally
		for i, c := range clients {
			if err := c.SendAsync(t.Context(), &hubwire.Message{}, y.done(i)); err != nil {
				t.Error(err)
			}
		}
		if err := s.conn.Close(); err != nil {
			t.Error(err)
		}
		y.once(t, len(clients), func(err error) bool { return err == nil })
		for _, c := range clients {
			<-c.Done()
			if err := c.Err(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("a Client ended with %v", err)
			}
		}
		<-s.conn.Done()
		if err := s.conn.Err(); !errors.Is(err, net.ErrClosed) || s.conn.State() != device.Closed {
			t.Errorf("the connection is %v, and ended with %v", s.conn.State(), err)
		}
		if _, err := device.Dial(t.Context(), s.device, s.transport, s.options(nil)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a device that comes too late: %v", err)
		}
	})
}
