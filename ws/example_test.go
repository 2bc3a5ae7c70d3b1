package ws_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/hubwire/hubwire/ws"
)

// A server that sends back what it gets, and a client of it.
func Example() {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nc, subprotocol, err := ws.Accept(w, r, ws.MQTT, ws.AMQP)
		if err != nil {
			return // r has been answered
		}
		defer nc.Close()
		fmt.Println("accepted", subprotocol)
		io.Copy(nc, nc)
	}))
	defer srv.Close()

	nc, err := ws.Dial(context.Background(), srv.Listener.Addr().String(), &ws.DialOptions{
		TLSConfig:   &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs},
		Query:       ws.NoClientCert,
		Subprotocol: "MQTT",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer nc.Close()
	io.WriteString(nc, "ping")
	buf := make([]byte, 4)
	io.ReadFull(nc, buf)
	fmt.Printf("%s\n", buf)
	// Output:
	// accepted MQTT
	// ping
}

func ExampleProxyDialer() {
	proxy, err := url.Parse("socks5://user:password@proxy.example:1080")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = ws.Dial(context.Background(), "my-hub.azure-devices.net", &ws.DialOptions{Dial: ws.ProxyDialer(proxy, nil)})
	fmt.Println(err)
	// Output:
	// ws: proxy proxy.example:1080 to my-hub.azure-devices.net:443: the proxy's URL cannot be used: it must be http://host:port, and its scheme is "socks5"
}

// What a server that is no hub answers, and what that means.
func ExampleDial() {
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()

	_, err := ws.Dial(context.Background(), srv.Listener.Addr().String(), &ws.DialOptions{
		TLSConfig:   &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs},
		Subprotocol: ws.AMQP,
	})
	var refused *ws.HandshakeError
	if errors.As(err, &refused) {
		fmt.Println(refused.Status, "and so the next time:", ws.IsRefusal(err))
	}
	// Output: 404 and so the next time: true
}

// A front of the Device Provisioning Service, which some SDKs dial at "/".
func ExampleAcceptAnyPath() {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nc, _, err := ws.AcceptAnyPath(w, r, ws.MQTT)
		if err != nil {
			return
		}
		defer nc.Close()
		io.WriteString(nc, r.URL.Path)
		nc.Read(make([]byte, 1)) // until the client has left: Close does not wait for what is on its way
	}))
	defer srv.Close()

	nc, err := ws.Dial(context.Background(), srv.Listener.Addr().String(), &ws.DialOptions{
		TLSConfig: &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs},
		Path:      "/",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer nc.Close()
	path := make([]byte, 1)
	_, err = io.ReadFull(nc, path)
	fmt.Printf("%s %v\n", path, err)
	// Output: / <nil>
}
