package links

// incoming is what comes to a device.
type incoming struct{}

func (*incoming) init(*Device) {}
