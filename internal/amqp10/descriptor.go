package amqp10

// descriptorNames are the symbols that stand for the codes, without their "amqp:".
var descriptorNames = [128]string{
	DescOpen: "open:list", DescBegin: "begin:list", DescAttach: "attach:list", DescFlow: "flow:list",
	DescTransfer: "transfer:list", DescDisposition: "disposition:list", DescDetach: "detach:list",
	DescEnd: "end:list", DescClose: "close:list", DescError: "error:list",
	DescReceived: "received:list", DescAccepted: "accepted:list", DescRejected: "rejected:list",
	DescReleased: "released:list", DescModified: "modified:list",
	DescSource: "source:list", DescTarget: "target:list",
	DescCoordinator: "coordinator:list", DescTransactional: "transactional-state:list",
	DescSASLMechanisms: "sasl-mechanisms:list", DescSASLInit: "sasl-init:list", DescSASLChallenge: "sasl-challenge:list",
	DescSASLResponse: "sasl-response:list", DescSASLOutcome: "sasl-outcome:list",
	DescHeader: "header:list", DescDeliveryAnnotations: "delivery-annotations:map",
	DescMessageAnnotations: "message-annotations:map", DescProperties: "properties:list",
	DescApplicationProperties: "application-properties:map", DescData: "data:binary",
	DescSequence: "amqp-sequence:list", DescValue: "amqp-value:*", DescFooter: "footer:map",
}

const symbolPrefix = "amqp:"

// String returns the name of d, such as "attach", or "descriptor" when it has none.
func (d Descriptor) String() string {
	if known(d) == 0 {
		return "descriptor"
	}
	name := descriptorNames[d]
	for i := range name {
		if name[i] == ':' {
			return name[:i]
		}
	}
	return name
}

// descriptorOf returns the Descriptor that v, a number or a symbol, stands for, or 0.
func descriptorOf(v Value) Descriptor {
	if v.Kind() == KindSymbol {
		name, _ := v.Text()
		return descriptorNamed(name)
	}
	if n, ok := v.Uint(); ok && n < uint64(len(descriptorNames)) {
		return known(Descriptor(n))
	}
	return 0
}

// known returns d if the standard has it, else 0.
func known(d Descriptor) Descriptor {
	if int(d) >= len(descriptorNames) || descriptorNames[d] == "" {
		return 0
	}
	return d
}

func descriptorNamed(symbol []byte) Descriptor {
	if len(symbol) <= len(symbolPrefix) || string(symbol[:len(symbolPrefix)]) != symbolPrefix {
		return 0
	}
	for d, name := range descriptorNames {
		if name != "" && name == string(symbol[len(symbolPrefix):]) {
			return Descriptor(d)
		}
	}
	return 0
}
