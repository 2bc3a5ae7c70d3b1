package ws_test

import (
	"context"
	"crypto/tls"
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
	// ws: proxy proxy.example:1080 to my-hub.azure-devices.net:443: the proxy's URL must be http://host:port, and its scheme is "socks5"
}
