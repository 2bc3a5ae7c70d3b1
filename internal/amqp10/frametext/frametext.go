// Package frametext shows frames of AMQP 1.0 as text, for tests to compare: a line a frame, with what tells it from
// others of its kind.
package frametext

import (
	"fmt"
	"strings"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// Of shows a frame, with its channel in front if that is not 0:
//
//	attach name 0 sender from 0
//	1: transfer 0 id=0 tag=00000000 format=0 hello
//	end session:unattached-handle
//
// The error is of what cannot be read, or is no frame that is known.
func Of(f amqp10.Frame) (string, error) {
	s, err := body(f.Body())
	if f.Type() == amqp10.FrameAMQP && f.Channel() != 0 {
		s = fmt.Sprintf("%d: %s", f.Channel(), s)
	}
	return s, err
}

func body(b []byte) (string, error) {
	switch amqp10.PeekDescriptor(b) {
	case amqp10.DescOpen:
		var p amqp10.Open
		err := p.Parse(b)
		return "open " + string(p.ContainerID), err
	case amqp10.DescBegin:
		var p amqp10.Begin
		err := p.Parse(b)
		return fmt.Sprintf("begin %d next=%d", p.RemoteChannel.Value, p.NextOutgoingID), err
	case amqp10.DescAttach:
		return attach(b)
	case amqp10.DescFlow:
		return flow(b)
	case amqp10.DescTransfer:
		return transfer(b)
	case amqp10.DescDisposition:
		return disposition(b)
	case amqp10.DescDetach:
		var p amqp10.Detach
		err := p.Parse(b)
		return fmt.Sprintf("detach %d%s%s", p.Handle, flag(" closed", p.Closed), condition(p.Error)), err
	case amqp10.DescEnd:
		var p amqp10.End
		err := p.Parse(b)
		return "end" + condition(p.Error), err
	case amqp10.DescClose:
		var p amqp10.Close
		err := p.Parse(b)
		return "close" + condition(p.Error), err
	case amqp10.DescSASLMechanisms:
		var p amqp10.SASLMechanisms
		err := p.Parse(b)
		s, items := "mechanisms", p.Mechanisms.Items()
		for items.More() {
			s += " " + string(items.Text())
		}
		return s, err
	case amqp10.DescSASLInit:
		var p amqp10.SASLInit
		err := p.Parse(b)
		return fmt.Sprintf("init %s %q %s", p.Mechanism, p.InitialResponse, p.Hostname), err
	case amqp10.DescSASLOutcome:
		var p amqp10.SASLOutcome
		err := p.Parse(b)
		return fmt.Sprintf("outcome %d", p.Code), err
	}
	if len(b) == 0 {
		return "empty", nil
	}
	return "", fmt.Errorf("an unknown body % x", b)
}

func attach(b []byte) (string, error) {
	var p amqp10.Attach
	err := p.Parse(b)
	s := fmt.Sprintf("attach %s %d", p.Name, p.Handle)
	if p.Role == amqp10.RoleReceiver {
		s += " receiver"
	} else {
		s += fmt.Sprintf(" sender from %d", p.InitialDeliveryCount.Value)
	}
	if p.Role == amqp10.RoleReceiver && !p.Target.Valid || p.Role == amqp10.RoleSender && !p.Source.Valid {
		s += " refused"
	}
	return s, err
}

func flow(b []byte) (string, error) {
	var p amqp10.Flow
	err := p.Parse(b)
	s := fmt.Sprintf("flow in=%d+%d out=%d", p.NextIncomingID.Value, p.IncomingWindow, p.NextOutgoingID)
	if p.Handle.Valid {
		s += fmt.Sprintf(" link %d count=%d credit=%d", p.Handle.Value, p.DeliveryCount.Value, p.LinkCredit.Value)
	}
	return s + flag(" drain", p.Drain) + flag(" echo", p.Echo), err
}

func transfer(b []byte) (string, error) {
	var p amqp10.Transfer
	payload, err := p.Parse(b)
	s := fmt.Sprintf("transfer %d", p.Handle)
	if p.DeliveryID.Valid {
		s += fmt.Sprintf(" id=%d tag=%x format=%d", p.DeliveryID.Value, p.DeliveryTag, p.MessageFormat.Value)
	}
	s += flag(" settled", p.Settled) + flag(" more", p.More)
	if len(payload) > 20 {
		return s + fmt.Sprintf(" %d bytes", len(payload)), err
	}
	return s + " " + string(payload), err
}

func disposition(b []byte) (string, error) {
	var p amqp10.Disposition
	err := p.Parse(b)
	s := "disposition receiver"
	if p.Role == amqp10.RoleSender {
		s = "disposition sender"
	}
	s += fmt.Sprintf(" %d", p.First)
	if p.Last.Valid {
		s += fmt.Sprintf("-%d", p.Last.Value)
	}
	s += flag(" settled", p.Settled)
	if !p.State.IsNull() {
		s += " " + p.State.Kind().String()
	}
	if e, _ := p.State.Error(); e != nil {
		s += "(" + string(e.Condition) + ")"
	}
	return s, err
}

func flag(name string, v amqp10.Opt[bool]) string {
	if v.Or(false) {
		return name
	}
	return ""
}

func condition(e *amqp10.Error) string {
	if e == nil {
		return ""
	}
	return " " + strings.TrimPrefix(string(e.Condition), "amqp:")
}
