package links

func (s *sender) stalled(gen generation, err error) { s.failed(gen, err) }
