package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"net/url"
	"strings"

	"github.com/hubwire/hubwire/sas"
)

// sasRows: the floor is the one HMAC that a token can't do without, its key
// already hashed. The peer is the recipe of the documentation.
func sasRows() ([]*row, error) {
	key, err := sas.NewKey(sas.NewSecret(sasKey))
	if err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.DecodeString(sasKey)
	if err != nil {
		return nil, err
	}
	mac, ctx := hmac.New(sha256.New, raw), context.Background()

	var c checker
	token, err := sas.AppendToken(ctx, nil, key, sasResource, "", sasExpires)
	c.ok("SAS token", err)
	c.equal("SAS token", string(token), sasToken)
	c.equal("SAS token of the peer", formatToken(), sasToken)
	sig := url.QueryEscape(base64.StdEncoding.EncodeToString(bareHMAC(nil, mac, []byte(sasSigned))))
	c.equal("signature in the token", strings.Contains(sasToken, "&sig="+sig+"&"), true)

	w := &sasWork{ctx: ctx, key: key, mac: mac, signed: placed(sasSigned), buf: newSpace(256)}
	return []*row{{
		name:  "SAS token, signer reused",
		floor: &work{name: "HMAC 55 B", run: w.bare},
		peer:  &work{name: "hmac.New, Sprintf", run: tokenStd},
		ours:  &work{run: w.token},
		gates: []bound{atMost(2.1)}, targets: []bound{atMost(1.6)},
	}}, c.err
}

type sasWork struct {
	ctx    context.Context
	key    *sas.Key
	mac    hash.Hash
	signed []byte
	buf    *space
}

func (w *sasWork) bare(n int) {
	dst := w.buf.next()
	for range n {
		dst = bareHMAC(dst[:0], w.mac, w.signed)
	}
	sink.bytes = dst
}

//go:noinline
func bareHMAC(dst []byte, mac hash.Hash, data []byte) []byte {
	mac.Reset()
	mac.Write(data)
	return mac.Sum(dst)
}

func (w *sasWork) token(n int) {
	dst := w.buf.next()
	for range n {
		dst, _ = sas.AppendToken(w.ctx, dst[:0], w.key, sasResource, "", sasExpires)
	}
	sink.bytes = dst
}

func tokenStd(n int) {
	for range n {
		sink.text = formatToken()
	}
}

func formatToken() string {
	raw, _ := base64.StdEncoding.DecodeString(sasKey)
	resource, expires := url.QueryEscape(sasResource), sasExpires.Unix()
	mac := hmac.New(sha256.New, raw)
	fmt.Fprintf(mac, "%s\n%d", resource, expires)
	sig := url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return fmt.Sprintf("SharedAccessSignature sr=%s&sig=%s&se=%d", resource, sig, expires)
}
