package httpfront

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/hub/internal/core"
)

// trickle writes a blank a second, until it cannot.
func trickle(w io.Writer) {
	for {
		if _, err := io.WriteString(w, " "); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// TestPatience has peers that take their time, at each stage of a request.
func TestPatience(t *testing.T) {
	tests := []struct {
		name string
		peer func(d *door, w io.Writer)
		want time.Duration
	}{
		{"with nothing", func(d *door, w io.Writer) {}, 30 * time.Second},
		{"with half a header", func(d *door, w io.Writer) { d.write(w, "GET /devices HTTP/1.1\r\nHo") }, 30 * time.Second},
		{"with a header, byte by byte", func(d *door, w io.Writer) {
			d.write(w, "GET /devices HTTP/1.1\r\nX: ")
			go trickle(w)
		}, 30 * time.Second},
		{"with a body, byte by byte", func(d *door, w io.Writer) {
			d.write(w, d.header("PUT", "/devices/x")+"Content-Length: 1000\r\n\r\n")
			go trickle(w)
		}, 60 * time.Second},
		{"between requests", func(d *door, w io.Writer) {
			d.write(w, d.header("GET", "/devices")+"\r\n")
		}, 2 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, d *door) {
				nc := d.open()
				start := time.Now()
				tt.peer(d, nc)
				io.Copy(io.Discard, nc)
				if took := time.Since(start); took != tt.want {
					t.Errorf("the connection ended after %v, want %v", took, tt.want)
				}
				time.Sleep(time.Second) // until trickle has noticed
			})
		})
	}
}

// TestSlowReader asks for more than the network holds and does not read it.
func TestSlowReader(t *testing.T) {
	bubble(t, nil, func(t *testing.T, d *door) {
		for i := range 500 {
			d.create(fmt.Sprint(i))
		}
		nc := d.open()
		d.write(nc, d.header("GET", "/devices")+"\r\n")
		time.Sleep(31 * time.Second)
		b, _ := io.ReadAll(nc)
		if strings.HasSuffix(string(b), "]") {
			t.Error("the whole answer waited for the peer")
		}
	})
}

// TestExpectContinue sends a body only when the hub wants it, and when the
// deadline of the answer before has passed.
func TestExpectContinue(t *testing.T) {
	bubble(t, nil, func(t *testing.T, d *door) {
		nc := d.open()
		r := bufio.NewReader(nc)
		d.write(nc, d.header("GET", "/devices")+"\r\n")
		d.answer(r)
		time.Sleep(time.Minute)
		d.write(nc, d.header("PUT", "/devices/x")+"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
		if line, err := r.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("%q, %v", line, err)
		}
		r.ReadString('\n')
		d.write(nc, "{}")
		if res, body := d.answer(r); res.StatusCode != 200 {
			t.Errorf("%s %s", res.Status, body)
		}
	})
}

// TestHeldRequestEnds has requests that are never answered end with their peer,
// and with the hub, whether the hub read their bodies or not.
func TestHeldRequestEnds(t *testing.T) {
	swallow := func(context.Context, *core.Op) core.Verdict { return core.Verdict{SwallowAck: true} }
	requests := map[string]func(d *door) string{
		"without a body":           func(d *door) string { return d.header("GET", "/devices") + "\r\n" },
		"with a body that is read": func(d *door) string { return d.header("PUT", "/devices/x") + "Content-Length: 2\r\n\r\n{}" },
		"with a body that is not": func(d *door) string {
			return "PUT /devices/x?api-version=2021-04-12 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
		},
		"with a body that does not end": func(d *door) string {
			return "PUT /devices/x?api-version=2021-04-12 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200\r\n\r\n{}"
		},
	}
	ends := map[string]func(d *door, nc io.Closer){
		"the peer": func(d *door, nc io.Closer) { nc.Close() },
		"the hub":  func(d *door, nc io.Closer) { d.server.Close() },
	}
	for name, request := range requests {
		for who, end := range ends {
			t.Run(name+" with "+who, func(t *testing.T) {
				bubble(t, swallow, func(t *testing.T, d *door) {
					nc := d.open()
					d.write(nc, request(d))
					synctest.Wait()
					start := time.Now()
					end(d, nc)
					d.server.conns.Wait()
					if took := time.Since(start); took != 0 {
						t.Errorf("it took %v", took)
					}
					if b, _ := io.ReadAll(nc); len(b) != 0 {
						t.Errorf("there was an answer: %q", b)
					}
				})
			})
		}
	}
}

// TestSlowHub takes longer to answer than a body may to arrive.
func TestSlowHub(t *testing.T) {
	slow := func(context.Context, *core.Op) core.Verdict { return core.Verdict{Delay: 5 * time.Minute} }
	for name, request := range map[string]func(d *door) string{
		"without a body": func(d *door) string { return d.header("GET", "/devices") + "\r\n" },
		"with a body":    func(d *door) string { return d.header("PUT", "/devices/x") + "Content-Length: 2\r\n\r\n{}" },
		"with a body that fills buffers": func(d *door) string {
			return d.header("PUT", "/devices/x") + "Content-Length: 30002\r\n\r\n{" + strings.Repeat(" ", 30_000) + "}"
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, slow, func(t *testing.T, d *door) {
				nc := d.open()
				d.write(nc, request(d))
				if res, body := d.answer(bufio.NewReader(nc)); res.StatusCode != 200 {
					t.Errorf("%s %s", res.Status, body)
				}
			})
		})
	}
}

// TestMethodNotAllowed says which methods there are.
func TestMethodNotAllowed(t *testing.T) {
	bubble(t, nil, func(t *testing.T, d *door) {
		for path, want := range map[string]string{
			"/devices":             "GET, POST",
			"/devices/x":           "DELETE, GET, PUT",
			"/devices/x/modules":   "GET",
			"/devices/x/modules/m": "DELETE, GET, PUT",

			"/devices/x/commands":                       "DELETE",
			"/devices/x/messages/events":                "POST",
			"/devices/x/messages/deviceBound":           "GET, POST",
			"/devices/x/modules/m/messages/devicebound": "GET, POST",
			"/devices/x/messages/deviceBound/t":         "DELETE",
			"/devices/x/messages/deviceBound/t/abandon": "POST",
			"/statistics/devices":                       "GET",
			"/statistics/service":                       "GET",
			"/twins/x":                                  "GET, PATCH, PUT",
			"/twins/x/modules/m":                        "GET, PATCH, PUT",
			"/twins/x/methods":                          "POST",
			"/Twins/x/Modules/m/Methods/":               "POST",
		} {
			nc := d.open()
			d.write(nc, d.header("PURGE", path)+"\r\n")
			res, body := d.answer(bufio.NewReader(nc))
			if res.StatusCode != 405 || res.Header.Get("Allow") != want || res.Header.Get("iothub-errorcode") != "GenericMethodNotAllowed" {
				t.Errorf("%s: %s, Allow %q, %s", path, res.Status, res.Header.Get("Allow"), body)
			}
		}
	})
}

// TestGarbage is refused by net/http; the door stays open.
func TestGarbage(t *testing.T) {
	for name, garbage := range map[string]string{
		"no HTTP":                  "\x10\x20\x00\x04MQTT\r\n\r\n",
		"no host":                  "GET /devices HTTP/1.1\r\n\r\n",
		"a path badly encoded":     "GET /devices/%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"another version":          "GET /devices HTTP/9.1\r\nHost: localhost\r\n\r\n",
		"a header that is too big": "GET /devices HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", maxHeader+8192) + "\r\n\r\n",
		"two lengths":              "PUT /devices/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, d *door) {
				nc := d.open()
				go io.WriteString(nc, garbage)
				if res, body := d.answer(bufio.NewReader(nc)); res.StatusCode < 400 || res.StatusCode > 505 {
					t.Errorf("%s %s", res.Status, body)
				}
				nc = d.open()
				d.write(nc, d.header("GET", "/devices")+"\r\n")
				if res, _ := d.answer(bufio.NewReader(nc)); res.StatusCode != 200 {
					t.Errorf("the next: %s", res.Status)
				}
			})
		})
	}
}

// TestEveryPrefixOfARequest ends the stream inside a request, everywhere.
func TestEveryPrefixOfARequest(t *testing.T) {
	bubble(t, nil, func(t *testing.T, d *door) {
		whole := d.header("PUT", "/devices/x") + "Content-Length: 2\r\n\r\n{}"
		for n := range whole {
			nc := d.open()
			d.write(nc, whole[:n])
			nc.Close()
		}
		synctest.Wait() // until the last of them is counted
		d.server.conns.Wait()
		if ds := d.core.Devices(1); len(ds) != 0 {
			t.Error("a part of a request registered a device")
		}
	})
}
