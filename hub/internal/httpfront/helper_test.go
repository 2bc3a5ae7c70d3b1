package httpfront

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/internal/pipe"
	"github.com/hubwire/hubwire/sas"
)

// door is a Server on a core, behind a listener without TLS.
type door struct {
	t      testing.TB
	core   *core.Core
	server *Server
	l      *pipe.Listener
}

// bubble runs f with a door, where time passes at once.
func bubble(t *testing.T, intercept func(context.Context, *core.Op) core.Verdict, f func(t *testing.T, d *door)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c, err := core.New(t.Context(), &core.Config{HostName: "localhost", Intercept: intercept}, store.NewMemory(nil))
		if err != nil {
			t.Fatal(err)
		}
		d := &door{t: t, core: c, server: New(c, &Options{}), l: pipe.Listen(pipe.Addr("localhost:443"))}
		accepting := make(chan struct{})
		go func() {
			defer close(accepting)
			d.server.Accept(d.l, nil)
		}()
		t.Cleanup(func() {
			d.l.Close()
			c.Close()
			d.server.Close()
			<-accepting
			d.server.Wait()
		})
		f(t, d)
	})
}

// open opens a connection to the door.
func (d *door) open() net.Conn {
	d.t.Helper()
	nc, err := d.l.Dial(context.Background(), pipe.Addr("client"))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { nc.Close() })
	return nc
}

// header returns the first lines of a request by the hub's owner, up to where
// more headers can follow.
func (d *door) header(method, path string) string {
	owner := d.core.Policies()[0]
	key, err := sas.NewKey(owner.Primary)
	if err != nil {
		d.t.Fatal(err)
	}
	token, err := sas.AppendToken(context.Background(), nil, key, "localhost", owner.Name, time.Now().Add(24*time.Hour))
	if err != nil {
		d.t.Fatal(err)
	}
	return fmt.Sprintf("%s %s?api-version=2021-04-12 HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\r\n", method, path, token)
}

// write writes text to a connection.
func (d *door) write(w io.Writer, text string) {
	d.t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		d.t.Fatal(err)
	}
}

// answer reads an answer and its body.
func (d *door) answer(r *bufio.Reader) (*http.Response, string) {
	d.t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return res, string(b)
}

func (d *door) create(ids ...string) {
	d.t.Helper()
	for _, id := range ids {
		if _, err := d.core.Create(context.Background(), &core.Device{ID: hubwire.Identity{DeviceID: id}}); err != nil {
			d.t.Fatal(err)
		}
	}
}
