package ws

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/hubwire/hubwire/internal/errtext"
)

// ProxyDialer returns a [DialFunc] that reaches every address through the HTTP
// proxy at proxy ("http://user:password@proxy.example:3128"; the port defaults
// to 80), with Basic authentication when the URL has a user, whose name must
// have no colon (RFC 7617 section 2). It sends
//
//	CONNECT {host}:{port} HTTP/1.1
//	Host: {host}:{port}
//	Proxy-Authorization: Basic {base64(user:password)}
//
// and takes any 2xx for a yes (RFC 9110 section 9.3.6). The host's name is left
// to the proxy to look up.
//
// next opens the connection to the proxy, and nothing else does; nil means a
// [net.Dialer]. For a proxy that wants TLS itself, let next do that. What fails
// after next is a [*ProxyError]; the context bounds the exchange with the proxy,
// and the head of its answer is limited to 32 KiB.
func ProxyDialer(proxy *url.URL, next DialFunc) DialFunc {
	if next == nil {
		next = new(net.Dialer).DialContext
	}
	var p url.URL // fails, as no proxy
	if proxy != nil {
		p = *proxy
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if ctx == nil {
			return nil, errNoContext
		}
		host := p.Host
		if p.Port() == "" {
			host = net.JoinHostPort(p.Hostname(), "80")
		}
		at := strings.LastIndex(host, "@") // behind a user, in a URL that was put together by hand
		host = host[at+1:]
		fail := func(status int, err error) (net.Conn, error) {
			return nil, &ProxyError{Proxy: host, Target: addr, Status: status, Err: err}
		}
		if p.Scheme != "http" || p.Hostname() == "" {
			return fail(0, fmt.Errorf("%w: it must be http://host:port, and its scheme is %q", ErrProxyURL, p.Scheme))
		}
		if at >= 0 {
			return fail(0, fmt.Errorf("%w: its user stands in Host, and belongs in User", ErrProxyURL))
		}
		if strings.Contains(p.User.Username(), ":") {
			return fail(0, fmt.Errorf("%w: its user name has a colon, which Basic authentication cannot carry", ErrProxyURL))
		}
		if strings.ContainsFunc(addr, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return fail(0, errors.New("the address has a space or a control character"))
		}
		nc, err := next.call(ctx, network, host)
		if err != nil {
			return nil, err
		}
		stop := guard(ctx, nc)
		status, rest, err := connect(nc, addr, p.User)
		if ended := stop(); ended != nil {
			err = ended
		}
		if err != nil {
			nc.Close()
			return fail(status, err)
		}
		if len(rest) == 0 {
			return nc, nil
		}
		return &tunnelled{Conn: nc, r: io.MultiReader(bytes.NewReader(rest), nc)}, nil
	}
}

// tunnelled is a connection of which the first bytes came with the proxy's answer.
type tunnelled struct {
	net.Conn
	r io.Reader
}

func (t *tunnelled) Read(p []byte) (int, error) { return t.r.Read(p) }

// connect asks the proxy for addr. rest is what followed its answer.
func connect(nc net.Conn, addr string, user *url.Userinfo) (status int, rest []byte, err error) {
	req := "CONNECT " + addr + " HTTP/1.1\r\nHost: " + addr + "\r\n"
	if user != nil {
		password, _ := user.Password()
		req += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(nc, req+"\r\n"); err != nil {
		return 0, nil, err
	}
	r := bufio.NewReader(nc)
	status, err = readAnswer(r)
	if err == nil && status/100 != 2 {
		err = errors.New(cmp.Or(http.StatusText(status), "a status that HTTP does not define"))
	}
	if err != nil {
		return status, nil, err
	}
	rest, _ = r.Peek(r.Buffered())
	return status, rest, nil
}

// readAnswer reads the head of an HTTP answer up to and with the empty line,
// past any interim ones (1xx), and returns its status. The fields are not looked
// at: after a 2xx to CONNECT there is no body whatever they say (RFC 9110
// section 9.3.6). A line may end in LF alone.
func readAnswer(r *bufio.Reader) (status int, err error) {
	left := maxHead
	for {
		line, err := readLine(r, &left)
		if err != nil {
			return 0, err
		}
		if status, err = parseStatus(line); err != nil {
			return 0, err
		}
		for len(line) > 0 {
			if line, err = readLine(r, &left); err != nil {
				return status, err
			}
		}
		if status >= 200 {
			return status, nil
		}
	}
}

// readLine returns a line without its end, valid until the next read, and takes
// its length off left. An end of the stream is always unexpected.
func readLine(r *bufio.Reader, left *int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if *left -= len(part); *left < 0 {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLong, maxHead)
		}
		switch {
		case err == nil && line == nil:
			return bytes.TrimSuffix(part[:len(part)-1], []byte("\r")), nil
		case err == nil:
			line = append(line, part[:len(part)-1]...)
			return bytes.TrimSuffix(line, []byte("\r")), nil
		case errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
		line = append(line, part...)
	}
}

// parseStatus reads "HTTP/1.1 200 any words"; the words may be missing.
func parseStatus(line []byte) (int, error) {
	bad := fmt.Errorf("%w: status line %.40q", ErrMalformed, errtext.Line(string(line)))
	rest, ok := bytes.CutPrefix(line, []byte("HTTP/1."))
	if !ok || len(rest) < len("1 200") || rest[0] != '0' && rest[0] != '1' || rest[1] != ' ' {
		return 0, bad
	}
	code, words := rest[2:5], rest[5:]
	if len(words) > 0 && words[0] != ' ' {
		return 0, bad
	}
	status := 0
	for _, c := range code {
		if c < '0' || c > '9' {
			return 0, bad
		}
		status = 10*status + int(c-'0')
	}
	if status < 100 {
		return 0, bad
	}
	return status, nil
}
