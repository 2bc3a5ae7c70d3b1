package amqp10

import (
	"fmt"
	"io"
)

// SASLMechanisms offers ways to authenticate, in the order of preference (part 5 section 5.3.3.1).
type SASLMechanisms struct {
	Mechanisms Value // symbols, see [Value.Items]; must not be null
}

// AppendTo appends m.
func (m *SASLMechanisms) AppendTo(dst []byte) []byte {
	w := create(dst, DescSASLMechanisms)
	if m.Mechanisms.IsNull() {
		w.dst = AppendSymbolArray[string](w.field())
	} else {
		w.value(m.Mechanisms)
	}
	return w.close()
}

// Parse reads m from b, the whole body of a frame.
func (m *SASLMechanisms) Parse(b []byte) error {
	f := openWhole(b, DescSASLMechanisms)
	v := f.symbols()
	m.Mechanisms = need(&f, v, !v.IsNull())
	return f.Done()
}

// SASLInit chooses a mechanism (part 5 section 5.3.3.2). It holds a secret, which package fmt and
// JSON do not show.
type SASLInit struct {
	Mechanism       []byte // a symbol; must not be null
	InitialResponse []byte `json:"-"`
	Hostname        []byte
}

// Format implements [fmt.Formatter]: every verb gives "[redacted]".
func (SASLInit) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

const redacted = "[redacted]"

// AppendTo appends i.
func (i *SASLInit) AppendTo(dst []byte) []byte {
	w := create(dst, DescSASLInit)
	w.symbol(orEmpty(i.Mechanism))
	w.binary(i.InitialResponse)
	w.string(i.Hostname)
	return w.close()
}

// Parse reads i from b, the whole body of a frame.
func (i *SASLInit) Parse(b []byte) error {
	f := openWhole(b, DescSASLInit)
	i.Mechanism = f.needText()
	i.InitialResponse = f.Binary()
	i.Hostname = f.Text()
	return f.Done()
}

// SASLChallenge asks for more (part 5 section 5.3.3.3).
type SASLChallenge struct {
	Challenge []byte // must not be null
}

// AppendTo appends c.
func (c *SASLChallenge) AppendTo(dst []byte) []byte {
	return appendBinaryFrame(dst, DescSASLChallenge, c.Challenge)
}

// Parse reads c from b, the whole body of a frame.
func (c *SASLChallenge) Parse(b []byte) (err error) {
	c.Challenge, err = parseBinaryFrame(b, DescSASLChallenge)
	return err
}

// SASLResponse answers a challenge (part 5 section 5.3.3.4). It holds a secret, which package fmt
// and JSON do not show.
type SASLResponse struct {
	Response []byte `json:"-"` // must not be null
}

// Format implements [fmt.Formatter]: every verb gives "[redacted]".
func (SASLResponse) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// AppendTo appends r.
func (r *SASLResponse) AppendTo(dst []byte) []byte {
	return appendBinaryFrame(dst, DescSASLResponse, r.Response)
}

// Parse reads r from b, the whole body of a frame.
func (r *SASLResponse) Parse(b []byte) (err error) {
	r.Response, err = parseBinaryFrame(b, DescSASLResponse)
	return err
}

func appendBinaryFrame(dst []byte, what Descriptor, v []byte) []byte {
	w := create(dst, what)
	w.binary(orEmpty(v))
	return w.close()
}

func parseBinaryFrame(b []byte, what Descriptor) ([]byte, error) {
	f := openWhole(b, what)
	v := f.Binary()
	return need(&f, v, v != nil), f.Done()
}

// SASLCode is how an authentication ended (part 5 section 5.3.3.6).
type SASLCode uint8

// The codes.
const (
	SASLOK      SASLCode = 0
	SASLAuth    SASLCode = 1 // the credentials are wrong
	SASLSys     SASLCode = 2 // the server failed
	SASLSysPerm SASLCode = 3 // the server failed, and trying again does not help
	SASLSysTemp SASLCode = 4 // the server failed, and trying again may help
)

// SASLOutcome ends an authentication (part 5 section 5.3.3.5).
type SASLOutcome struct {
	Code           SASLCode
	AdditionalData []byte
}

// AppendTo appends o.
func (o *SASLOutcome) AppendTo(dst []byte) []byte {
	w := create(dst, DescSASLOutcome)
	w.dst = AppendUbyte(w.field(), uint8(o.Code))
	w.binary(o.AdditionalData)
	return w.close()
}

// Parse reads o from b, the whole body of a frame.
func (o *SASLOutcome) Parse(b []byte) error {
	f := openWhole(b, DescSASLOutcome)
	o.Code = SASLCode(f.Ubyte())
	o.AdditionalData = f.Binary()
	return f.Done()
}
