package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
)

// A raw client of HTTPS has its request ready, writes it, and reads the head of the answer, without
// looking at more of it than the status.

// rawPoster is one of its connections, and how to get another.
type rawPoster struct {
	nc      net.Conn
	dial    func() (net.Conn, error)
	request []byte
	in      [4 << 10]byte
}

// httpsRawRole is as many of them as there are posters.
func httpsRawRole(s setup) (*actor, error) {
	post, err := s.post()
	if err != nil {
		return nil, err
	}
	var wire bytes.Buffer
	post.Body, post.ContentLength = io.NopCloser(bytes.NewReader(postMessage.Body)), int64(len(postMessage.Body))
	if err := post.Write(&wire); err != nil {
		return nil, err
	}
	idle := make(chan *rawPoster, posters)
	for range posters {
		nc, err := s.dial()
		if err != nil {
			return nil, err
		}
		idle <- &rawPoster{nc: nc, dial: s.dial, request: wire.Bytes()}
	}
	return posting(func() error {
		p := <-idle
		defer func() { idle <- p }()
		return p.post()
	}), nil
}

// post sends the request once. A server may have closed the connection meanwhile: a hub does so when it is
// not used for two minutes.
func (p *rawPoster) post() error {
	err := p.exchange()
	if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		return err
	}
	p.nc.Close()
	if p.nc, err = p.dial(); err != nil {
		return err
	}
	return p.exchange()
}

func (p *rawPoster) exchange() error {
	if _, err := p.nc.Write(p.request); err != nil {
		return err
	}
	for have := 0; ; {
		n, err := p.nc.Read(p.in[have:])
		if err != nil {
			return err
		}
		have += n
		head, rest, whole := bytes.Cut(p.in[:have], []byte("\r\n\r\n"))
		switch {
		case whole && len(rest) == 0 && strings.HasPrefix(string(head), "HTTP/1.1 204 "):
			return nil
		case whole:
			return fmt.Errorf("the answer begins %.60q", head)
		case have == len(p.in):
			return errLongHead
		}
	}
}

var errLongHead = errors.New("the answer's head has no end")
